use super::super::harness::*;
use super::super::*;
use super::{ASK_OTHERS_AFTER, Home};

mod carried;

fn kept_by_applications() -> Settings {
    Settings {
        positions: Positions::Application,
        ..settings()
    }
}

/// Streams are open and partitions assigned; nothing was answered.
fn asking(settings: Settings, streams: &[u64], partitions: &[i32]) -> Bench {
    let mut bench = Bench::new(settings);
    for stream in streams {
        open(&mut bench, *stream);
    }
    bench.assign(partitions);
    bench
}

fn open(bench: &mut Bench, stream: u64) {
    bench.open_with(stream, |open| {
        open.notice_partitions = true;
        open.notice_committed = true;
    });
}

fn assignment_of(bench: &Bench, index: i32) -> Assignment {
    bench.core.owned[&partition(index)]
}

fn at(offset: i64) -> Option<CommittedOffset> {
    Some(CommittedOffset {
        offset,
        leader_epoch: None,
        metadata: Vec::new(),
    })
}

fn answer(
    bench: &mut Bench,
    stream: u64,
    index: i32,
    position: Option<CommittedOffset>,
) -> Result<(), StartRefused> {
    let assignment = assignment_of(bench, index);
    answer_to(bench, stream, assignment, position)
}

fn answer_to(
    bench: &mut Bench,
    stream: u64,
    assignment: Assignment,
    position: Option<CommittedOffset>,
) -> Result<(), StartRefused> {
    let answer = StartAnswer {
        stream: StreamId(stream),
        assignment,
        position,
    };
    bench.start_at(answer)
}

/// Partition 0 flows from offset 0 on stream 1.
fn at_home(settings: Settings) -> Bench {
    let mut bench = asking(settings, &[1], &[0]);
    answer(&mut bench, 1, 0, at(0)).unwrap();
    bench.pass(seconds(2));
    bench.forget();
    bench
}

// P1
#[test]
fn nothing_is_read_before_the_application_says_where_it_starts() {
    let mut bench = asking(kept_by_applications(), &[1], &[0, 1]);
    assert_eq!(
        bench.lines("notice 1"),
        ["notice 1: start wanted 0", "notice 1: start wanted 1"]
    );
    bench.pass(seconds(600));
    assert!(bench.client.is_empty());
    assert!(bench.lines("read").is_empty(), "Kafka is not asked");
    bench.forget();
    answer(&mut bench, 1, 1, at(40)).unwrap();
    assert_eq!(bench.lines("notice 1"), ["notice 1: assigned 1@40"]);
    assert_eq!(bench.client[&partition(1)].offset, 40);
    assert!(
        !bench.client.contains_key(&partition(0)),
        "the others go on"
    );
}

#[test]
fn an_application_without_a_position_leaves_it_to_the_policy() {
    let mut bench = asking(kept_by_applications(), &[1], &[0]);
    bench.logs.insert(
        partition(0),
        LogRange {
            earliest: 7,
            latest: 100,
        },
    );
    answer(&mut bench, 1, 0, None).unwrap();
    assert_eq!(bench.client[&partition(0)].offset, 7);
    assert_eq!(
        bench.lines("notice 1: committed"),
        ["notice 1: committed 0@7, offered"],
        "what came of it is to be kept"
    );
}

#[test]
fn the_stream_with_the_fewest_partitions_is_asked_first() {
    let mut bench = asking(kept_by_applications(), &[1, 2], &[0, 1, 2, 3]);
    assert_eq!(bench.lines("notice 1").len(), 2);
    assert_eq!(bench.lines("notice 2").len(), 2);
}

// P2
#[test]
fn the_first_answer_wins_and_the_others_are_told() {
    let mut bench = asking(kept_by_applications(), &[1, 2], &[0]);
    assert_eq!(bench.lines("notice"), ["notice 1: start wanted 0"]);
    assert_eq!(
        answer(&mut bench, 2, 0, at(3)),
        Err(StartRefused::Stale),
        "not asked"
    );
    bench.pass(ASK_OTHERS_AFTER);
    assert_eq!(bench.lines("notice"), ["notice 2: start wanted 0"]);
    assert_eq!(bench.lines("event StartUnanswered").len(), 1);
    answer(&mut bench, 2, 0, at(3)).unwrap();
    assert_eq!(
        bench.lines("notice"),
        ["notice 1: revoked 0 OtherStream", "notice 2: assigned 0@3"]
    );
    assert_eq!(
        answer(&mut bench, 1, 0, at(9)),
        Err(StartRefused::OtherStream)
    );
    assert_eq!(
        answer(&mut bench, 2, 0, at(9)),
        Ok(()),
        "said twice, it was said"
    );
    assert_eq!(bench.client[&partition(0)].offset, 3);
}

#[test]
fn a_stream_that_opens_later_is_asked_what_is_still_open() {
    let mut bench = asking(kept_by_applications(), &[1], &[0]);
    bench.forget();
    open(&mut bench, 2);
    assert_eq!(bench.lines("notice 2"), ["notice 2: start wanted 0"]);
    answer(&mut bench, 1, 0, at(0)).unwrap();
    bench.forget();
    open(&mut bench, 3);
    assert!(bench.lines("notice 3").is_empty(), "it has a home");
}

#[test]
fn a_stream_that_ends_without_an_answer_is_replaced_at_once() {
    let mut bench = asking(kept_by_applications(), &[1, 2], &[0]);
    bench.forget();
    bench.close(1);
    assert_eq!(bench.lines("notice"), ["notice 2: start wanted 0"]);
    bench.close(2);
    open(&mut bench, 3);
    assert_eq!(bench.lines("notice 3"), ["notice 3: start wanted 0"]);
}

#[test]
fn a_stream_that_does_not_want_the_topic_is_not_asked() {
    let mut bench = Bench::new(kept_by_applications());
    bench.open_with(1, |open| {
        open.notice_partitions = true;
        open.topics = Some([TopicIndex(1)].into());
    });
    bench.assign(&[0]);
    bench.pass(seconds(30));
    assert!(bench.lines("notice 1").is_empty());
}

// P1
#[test]
fn only_the_home_gets_the_records() {
    let mut bench = asking(kept_by_applications(), &[1, 2], &[0]);
    answer(&mut bench, 1, 0, at(0)).unwrap();
    bench.pop("a b c");
    assert_eq!(bench.pull(2), "");
    assert_eq!(bench.pull(1), "0 1 2");
}

#[test]
fn what_is_finished_is_offered_to_the_home_alone() {
    let mut bench = asking(kept_by_applications(), &[1, 2], &[0]);
    answer(&mut bench, 1, 0, at(0)).unwrap();
    bench.pop("a b c");
    bench.pull(1);
    bench.forget();
    bench.ack("1");
    bench.pass(seconds(1));
    assert_eq!(
        bench.lines("notice"),
        ["notice 1: committed 0@0, offered"],
        "finished above the offset, it is offered, too"
    );
}

#[test]
fn who_waits_for_the_commit_is_given_what_to_keep() {
    let mut bench = at_home(kept_by_applications());
    bench.pop("a b c");
    bench.pull(1);
    bench.ack_and_wait("0 2", 5);
    assert_eq!(bench.lines("awaited"), ["awaited 5 true, offered 0@1+2..3"]);
}

#[test]
fn what_was_offered_is_where_it_goes_on() {
    let mut bench = at_home(kept_by_applications());
    bench.pop("a b c");
    bench.pull(1);
    bench.ack_and_wait("0 2", 5);
    let kept = bench.broker[&partition(0)].clone();
    bench.closing(1);
    open(&mut bench, 2);
    answer(&mut bench, 2, 0, Some(kept)).unwrap();
    bench.pop("b c d");
    assert_eq!(bench.pull(2), "1*2 3", "record 2 was finished");
}

#[test]
fn an_older_position_makes_it_come_again() {
    let mut bench = at_home(kept_by_applications());
    bench.pop("a b c");
    bench.pull(1);
    bench.ack_and_wait("0 1 2", 5);
    bench.close(1);
    bench.pass(seconds(2));
    open(&mut bench, 2);
    answer(&mut bench, 2, 0, at(1)).unwrap();
    bench.pop("b c");
    assert_eq!(
        bench.pull(2),
        "1 2",
        "the application did not keep what it was offered"
    );
}

#[test]
fn what_was_offered_for_another_partition_is_refused_and_the_question_stays() {
    let mut bench = asking(kept_by_applications(), &[1], &[0, 1]);
    answer(&mut bench, 1, 0, None).unwrap();
    let kept = bench.broker[&partition(0)].clone();
    let moved = CommittedOffset {
        offset: kept.offset + 1,
        ..kept.clone()
    };
    assert_eq!(
        answer(&mut bench, 1, 1, Some(kept)),
        Err(StartRefused::OtherPosition)
    );
    assert_eq!(
        answer(&mut bench, 1, 1, Some(moved)),
        Err(StartRefused::OtherPosition)
    );
    let garbage = CommittedOffset {
        metadata: b"garbage".to_vec(),
        ..at(5).unwrap()
    };
    assert_eq!(
        answer(&mut bench, 1, 1, Some(garbage)),
        Err(StartRefused::OtherPosition)
    );
    assert_eq!(answer(&mut bench, 1, 1, at(5)), Ok(()));
}

// P3
#[test]
fn a_home_that_ends_is_asked_for_anew_under_another_assignment() {
    let mut bench = at_home(kept_by_applications());
    bench.pop("a b");
    bench.pull(1);
    let before = assignment_of(&bench, 0);
    open(&mut bench, 2);
    bench.forget();
    bench.closing(1);
    assert_eq!(bench.lines("notice 2"), ["notice 2: start wanted 0"]);
    let now = assignment_of(&bench, 0);
    assert_ne!(before, now);
    assert_eq!(
        answer_to(&mut bench, 2, before, at(0)),
        Err(StartRefused::Stale)
    );
    assert_eq!(bench.ack("0"), ["conflict 0"], "it was released");
    assert_eq!(answer(&mut bench, 2, 0, at(0)), Ok(()));
}

#[test]
fn a_home_that_broke_is_replaced_when_no_death_is_told() {
    let mut bench = at_home(kept_by_applications());
    open(&mut bench, 2);
    bench.pop("a b");
    bench.pull(1);
    bench.forget();
    bench.close(1);
    assert!(bench.lines("notice 2").is_empty(), "it may have died");
    assert_eq!(bench.pull(2), "");
    bench.pass(seconds(1));
    assert_eq!(bench.lines("notice 2"), ["notice 2: start wanted 0"]);
}

#[test]
fn a_home_that_died_is_replaced_at_once() {
    let mut bench = at_home(kept_by_applications());
    open(&mut bench, 2);
    bench.pop("a b");
    bench.pull(1);
    bench.forget();
    bench.die(1);
    assert_eq!(bench.lines("notice 2"), ["notice 2: start wanted 0"]);
}

#[test]
fn a_partition_that_leaves_is_not_asked_for() {
    let mut bench = at_home(kept_by_applications());
    open(&mut bench, 2);
    bench.pop("a");
    bench.pull(1);
    bench.revoke(&[0]);
    bench.forget();
    bench.closing(1);
    bench.pass(seconds(10));
    assert!(bench.lines("notice 2: start").is_empty());
    assert!(bench.client.is_empty());
}

#[test]
fn nothing_is_asked_while_the_process_ends() {
    let mut bench = at_home(kept_by_applications());
    open(&mut bench, 2);
    bench.shut_down(seconds(10));
    bench.forget();
    bench.closing(1);
    bench.pass(seconds(1));
    assert!(bench.lines("notice 2: start").is_empty());
}

#[test]
fn a_partition_that_is_moved_stays_at_home() {
    let mut bench = at_home(kept_by_applications());
    bench.input(Input::Operate(Operation::Seek {
        ask: AskId(1),
        partition: partition(0),
        target: SeekTarget::Offset(30),
    }));
    assert_eq!(
        bench.lines("notice 1"),
        [
            "notice 1: revoked 0 Repositioned",
            "notice 1: assigned 0@30",
            "notice 1: committed 0@30, offered",
        ]
    );
    bench.pop("a@30");
    assert_eq!(bench.pull(1), "30");
}

// P3
#[test]
fn a_partition_that_is_moved_while_nobody_has_it_is_asked_for_all_the_same() {
    let mut bench = at_home(kept_by_applications());
    bench.pop("a b");
    bench.close(1);
    bench.input(Input::Operate(Operation::Seek {
        ask: AskId(1),
        partition: partition(0),
        target: SeekTarget::Offset(30),
    }));
    assert_eq!(bench.lines("sought").len(), 1, "refused");
    bench.fetch_failed(0, FetchError::Truncated { end: 1 });
    open(&mut bench, 2);
    bench.pass(seconds(2));
    assert_eq!(bench.lines("notice 2: start").len(), 1);
    answer(&mut bench, 2, 0, at(0)).unwrap();
    bench.pop("a");
    assert_eq!(bench.pull(2), "0");
}

// P5
#[test]
fn doubt_ends_with_the_groups_word() {
    let mut bench = at_home(kept_by_applications());
    bench.pop("a");
    bench.jump(seconds(60));
    assert!(!bench.core.confirms());
    bench.pass(millis(1));
    assert_eq!(bench.lines("describe group").len(), 1);
    assert!(!bench.core.confirms(), "an offer proves nothing");
    let said = |rests, ours: &[PartitionId]| GroupDescription {
        rests,
        owned: ours.to_vec(),
        ours: ours.to_vec(),
    };
    let ask = GroupAsk(bench.core.group_asks);
    let mut told = |ask, group| {
        let answer = Ok(group);
        bench.input(Input::GroupDescribed { ask, answer });
        bench.core.confirms()
    };
    assert!(
        !told(GroupAsk(ask.0 - 1), said(true, &[partition(0)])),
        "asked before"
    );
    assert!(!told(ask, said(true, &[])), "it is somebody else's");
    assert!(
        !told(ask, said(false, &[partition(0)])),
        "a rebalance is under way"
    );
    assert!(told(ask, said(true, &[partition(0)])));
}

#[test]
fn homes_admit_one_stream() {
    let stream = StreamId(1);
    assert!(Home::Anywhere.admits(stream) && Home::Anywhere.concerns(stream));
    assert!(Home::At(stream).admits(stream) && !Home::At(StreamId(2)).admits(stream));
    assert!(!Home::Asking([stream].into()).admits(stream));
    assert!(!Home::Left(stream).admits(stream) && !Home::Left(stream).concerns(stream));
}
