use super::*;

/// A body behind the head of an answer.
fn answer(error: i32, body: &[u8]) -> Answer {
    let mut frame = Frame::default();
    frame.number(7).long(99).number(error);
    frame.0.extend(body);
    Answer::read(&frame.0).unwrap()
}

fn state(version: i32) -> Vec<u8> {
    let mut frame = Frame::default();
    frame.long(1).long(2).long(3).long(4).number(version);
    frame
        .number(5)
        .number(6)
        .long(7)
        .number(8)
        .number(9)
        .long(10);
    frame.0
}

fn result(kind: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = Frame::default();
    frame.number(kind).switch(false);
    frame.number(FAILED);
    frame.0.extend(body);
    frame.0
}

fn end() -> Vec<u8> {
    let mut frame = Frame::default();
    frame.number(FAILED).switch(true);
    frame.number(FAILED);
    frame.0
}

#[test]
fn a_transaction_that_was_done_has_the_versions_of_what_it_set() {
    let body = [
        result(CHECK, b""),
        result(SET_DATA, &state(12)),
        result(CREATE, b"\0\0\0\x02/a"),
        end(),
    ];
    let answer = answer(0, &body.concat());
    assert!(answer.is_to(7) && !answer.is_to(8));
    assert_eq!(answer.steps(), Ok(Ok(vec![0, 12, 0])));
}

#[test]
fn a_transaction_that_was_refused_names_the_step_that_is_to_blame() {
    let body = [
        result(FAILED, &0_i32.to_be_bytes()),
        result(FAILED, &(-103_i32).to_be_bytes()),
        result(FAILED, &(-2_i32).to_be_bytes()),
        end(),
    ];
    let steps = answer(0, &body.concat()).steps();
    assert_eq!(steps, Ok(Err((1, Code::BadVersion))));
}

#[test]
fn data_comes_with_the_version_of_the_data() {
    let body = [&b"\0\0\0\x0242"[..], &state(3)].concat();
    assert_eq!(answer(0, &body).data(), Ok((&b"42"[..], 3)));
    let none = [&b"\xff\xff\xff\xff"[..], &state(4)].concat();
    assert_eq!(answer(0, &none).data(), Ok((&b""[..], 4)));
}

#[test]
fn errors_are_told_apart() {
    for (number, code) in [
        (-101, Code::NoNode),
        (-102, Code::NotAllowed),
        (-103, Code::BadVersion),
        (-110, Code::NodeExists),
        (-115, Code::NotAllowed),
        (-112, Code::Other(-112)),
    ] {
        assert_eq!(answer(number, b"").error(), Some(code));
    }
    assert_eq!(answer(0, b"").error(), None);
}

/// Z1.
#[test]
fn every_beginning_of_an_answer_is_refused() {
    let data = [&b"\0\0\0\x0242"[..], &state(3)].concat();
    let children = b"\0\0\0\x02\0\0\0\x01a\0\0\0\x01b".to_vec();
    let steps = [result(CHECK, b""), result(SET_DATA, &state(12)), end()].concat();
    for length in 0..data.len() {
        assert_eq!(answer(0, &data[..length]).data(), Err(Malformed));
    }
    for length in 0..children.len() {
        assert_eq!(answer(0, &children[..length]).children(), Err(Malformed));
    }
    for length in 0..steps.len() {
        assert_eq!(answer(0, &steps[..length]).steps(), Err(Malformed));
    }
    for length in 0..16 {
        assert_eq!(Answer::read(&[0; 16][..length]), Err(Malformed));
    }
    assert_eq!(session_opened(&[0; 7]), Err(Malformed));
    assert_eq!(answer(0, b"").children(), Err(Malformed));
}

/// Z1.
#[test]
fn announced_lengths_reserve_nothing() {
    for announced in [i32::MAX, i32::MIN, -2] {
        let body = [&announced.to_be_bytes()[..], b"abc"].concat();
        assert_eq!(answer(0, &body).data(), Err(Malformed));
        let named = [&announced.to_be_bytes()[..], b"\0\0\0\x01a"].concat();
        let children = answer(0, &named).children();
        assert!(
            children.is_err() || children == Ok(Vec::new()),
            "{children:?}"
        );
    }
}

#[test]
fn a_frame_begins_with_its_length_and_paths_are_below_the_root() {
    let request = Request::Data {
        path: "/consumers".to_owned(),
    };
    let expected = b"\0\0\0\x1c\0\0\0\x05\0\0\0\x04\0\0\0\x0f/here/consumers\0";
    assert_eq!(request.frame(5, "/here"), expected);
}
