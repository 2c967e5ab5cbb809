//! Answers of a server, as one of ours gives them, and some that none would give.

use super::Seeds;

const NO_NODE: u8 = 101;
const EXISTS: u8 = 110;

pub(super) fn seeds() -> Seeds {
    let claimed = steps(&[(5, state(3)), (13, Vec::new())]);
    let position = data(br#"{"offset":10,"leader_epoch":4,"metadata":"m"}"#);
    let (offset, nothing) = (data(b"10"), data(b""));
    let children = [&2_i32.to_be_bytes()[..], &text(b"0"), &text(b"x")].concat();
    let written = steps(&[(13, Vec::new()), (5, state(8)), (5, state(2))]);
    let stale = steps(&[failed(-103), failed(-2), failed(-2)]);
    let went_on = steps(&[failed(0), failed(-103), failed(-2)]);
    let created = steps(&[(13, Vec::new()), (5, state(8)), (1, text(b"/a"))]);
    let all = [
        answer(0, &claimed),
        answer(0, &offset),
        answer(0, &position),
        answer(0, &text(b"/a")),
        answer(0, &children),
        answer(0, &position),
        answer(0, &written),
    ];
    let first_time = [
        vec![answer(0, &steps(&[failed(-101), failed(-2)]))],
        vec![answer(EXISTS, b""); 8],
        vec![
            answer(0, &claimed),
            answer(NO_NODE, b""),
            answer(0, &nothing),
            answer(0, b""),
            answer(NO_NODE, b""),
            answer(0, &created),
        ],
    ];
    let announced = [&i32::MAX.to_be_bytes()[..], b"x"].concat();
    let with = |last: &[u8]| polite(&[&all[..6].concat()[..], last].concat());
    Seeds::from([
        ("real-all", polite(&all.concat())),
        ("real-first-time", polite(&first_time.concat().concat())),
        ("real-claimed-since", with(&answer(0, &stale))),
        (
            "real-own-late-write",
            with(
                &[
                    answer(0, &went_on),
                    answer(0, &position),
                    answer(0, &written),
                ]
                .concat(),
            ),
        ),
        ("real-not-allowed", polite(&answer(102, b""))),
        ("hostile-length", polite(&answer(0, &announced))),
        (
            "hostile-children",
            polite(&[all[..4].concat(), answer(0, &announced)].concat()),
        ),
        ("hostile-frame", [&[1][..], &announced].concat()),
        (
            "hostile-greeting",
            [&[1][..], &[0, 0, 0, 3], b"abc"].concat(),
        ),
        ("hostile-silence", vec![1]),
    ])
}

fn polite(answers: &[u8]) -> Vec<u8> {
    [&[0], answers].concat()
}

fn answer(error: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[error], &length[..], body].concat()
}

fn text(text: &[u8]) -> Vec<u8> {
    let length = i32::try_from(text.len()).unwrap();
    [&length.to_be_bytes()[..], text].concat()
}

/// The state of a node with this version.
fn state(version: i32) -> Vec<u8> {
    [&[0; 32][..], &version.to_be_bytes(), &[0; 32]].concat()
}

fn data(data: &[u8]) -> Vec<u8> {
    [text(data), state(7)].concat()
}

fn failed(error: i32) -> (i32, Vec<u8>) {
    (-1, error.to_be_bytes().to_vec())
}

fn steps(steps: &[(i32, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, body) in steps {
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 0, 0, 0, 0]);
        bytes.extend(body);
    }
    bytes.extend([255, 255, 255, 255, 1, 255, 255, 255, 255]);
    bytes
}
