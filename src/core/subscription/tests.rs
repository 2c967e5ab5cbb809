use std::sync::Arc;

use super::super::harness::*;
use super::super::*;

/// One topic, `t`, is named; those that begin with `u` are found, at most three in all.
fn finding() -> Settings {
    let wanted = |topic: &str| topic.starts_with('u').then(policy);
    Settings {
        topics: vec!["t".to_owned()],
        policies: vec![policy()],
        find_topics: Some(FindTopics {
            every: seconds(60),
            topics_max: 3,
            policy_of: Arc::new(wanted),
        }),
        ..settings()
    }
}

/// As above, and none is named.
fn finding_all() -> Settings {
    Settings {
        topics: Vec::new(),
        policies: Vec::new(),
        ..finding()
    }
}

fn found(bench: &mut Bench, names: &[&str]) {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    bench.input(Input::TopicsFound { answer: Ok(names) });
}

fn read(bench: &Bench) -> Vec<u16> {
    bench.core.topics_read().map(|topic| topic.0).collect()
}

/// How often topics were looked for since this was last asked.
fn looks(bench: &mut Bench) -> usize {
    bench.lines("find topics").len()
}

#[test]
fn nobody_looks_for_topics_where_all_are_named() {
    let mut bench = Bench::flowing(settings());
    bench.pass(seconds(1000));
    assert_eq!(looks(&mut bench), 0);
    assert_eq!(read(&bench), [0, 1]);
}

#[test]
fn topics_are_looked_for_at_once_and_again_and_again() {
    let mut bench = Bench::new(finding());
    bench.pass(seconds(0));
    assert_eq!(looks(&mut bench), 1);
    bench.pass(seconds(600));
    assert_eq!(looks(&mut bench), 0, "one question at a time");
    found(&mut bench, &["t"]);
    bench.pass(seconds(59));
    assert_eq!(looks(&mut bench), 0);
    bench.pass(seconds(1));
    assert_eq!(looks(&mut bench), 1);
}

#[test]
fn what_is_found_is_read_beside_what_is_named_and_keeps_its_index() {
    let mut bench = Bench::new(finding());
    bench.open(1);
    assert_eq!(bench.lines("join").len(), 1, "for the one that is named");
    found(&mut bench, &["v", "u2", "t", "u1"]);
    assert_eq!(bench.lines("topic"), ["topic 1 is u1", "topic 2 is u2"]);
    assert_eq!(bench.lines("subscribe").len(), 1);
    assert_eq!(read(&bench), [0, 1, 2]);
    found(&mut bench, &["u2", "t", "u1"]);
    assert!(bench.lines("subscribe").is_empty(), "nothing is new");
    found(&mut bench, &["u2"]);
    assert_eq!(read(&bench), [0, 2], "what is named is read always");
    found(&mut bench, &["u1", "u2"]);
    assert_eq!(read(&bench), [0, 1, 2]);
    assert!(bench.lines("topic").is_empty(), "u1 was known");
    assert_eq!(bench.lines("subscribe").len(), 2);
}

#[test]
fn a_question_that_failed_says_nothing_and_is_asked_again_soon() {
    let mut bench = Bench::new(finding());
    bench.pass(seconds(0));
    found(&mut bench, &["u1"]);
    bench.pass(seconds(60));
    let error = ReadError::Transient("no broker".to_owned());
    bench.input(Input::TopicsFound { answer: Err(error) });
    assert_eq!(read(&bench), [0, 1]);
    assert_eq!(bench.lines("event ReadRetried").len(), 1);
    bench.pass(seconds(2));
    assert_eq!(
        looks(&mut bench),
        3,
        "at the start, after a minute, and after the failure"
    );
}

#[test]
fn more_than_allowed_are_left_out_and_told_once() {
    let mut bench = Bench::new(finding());
    found(&mut bench, &["u4", "u3", "u2", "u1"]);
    assert_eq!(read(&bench).len(), 3);
    assert_eq!(bench.lines("topic"), ["topic 1 is u1", "topic 2 is u2"]);
    assert_eq!(bench.lines("event TopicsLeftOut").len(), 1);
    found(&mut bench, &["u0", "u4", "u3", "u2", "u1"]);
    assert!(bench.lines("topic").is_empty(), "who is read stays");
    assert_eq!(
        bench.lines("event TopicsLeftOut").len(),
        1,
        "another number"
    );
    found(&mut bench, &["u0", "u4", "u3", "u2", "u1"]);
    assert!(bench.lines("event TopicsLeftOut").is_empty());
    found(&mut bench, &["u0", "u2"]);
    assert_eq!(bench.lines("topic"), ["topic 3 is u0"], "there is room");
    assert_eq!(
        bench.lines("event TopicsLeftOut").len(),
        1,
        "nothing is left out any more"
    );
}

#[test]
fn the_group_is_joined_for_something_and_left_for_nothing() {
    let mut bench = Bench::new(finding_all());
    bench.open(1);
    assert!(bench.lines("join").is_empty());
    found(&mut bench, &["v"]);
    assert!(bench.lines("join").is_empty());
    found(&mut bench, &["u"]);
    assert_eq!(bench.lines("join").len(), 1);
    found(&mut bench, &[]);
    assert_eq!(bench.lines("leave").len(), 1);
    bench.input(Input::GroupLeft);
    found(&mut bench, &["u"]);
    assert_eq!(bench.lines("join").len(), 1, "again");
    assert!(bench.lines("subscribe").is_empty());
}

#[test]
fn a_process_that_joins_at_its_start_waits_for_the_first_topic() {
    let mut bench = Bench::new(Settings {
        join: JoinWhen::AtStart,
        ..finding_all()
    });
    bench.pass(seconds(1));
    assert!(bench.lines("join").is_empty());
    found(&mut bench, &["u"]);
    assert_eq!(bench.lines("join").len(), 1);
    found(&mut bench, &[]);
    bench.input(Input::GroupLeft);
    found(&mut bench, &["u"]);
    assert_eq!(bench.lines("join").len(), 1, "again");
}

/// `latest` passes over what is older than the wish to read a topic. Of a topic that came later nothing is.
#[test]
fn a_topic_that_came_into_being_is_read_from_its_beginning() {
    let mut settings = Settings {
        start: StartPolicy::Latest,
        ..finding_all()
    };
    if let Some(finder) = &mut settings.find_topics {
        finder.policy_of = Arc::new(|_| Some(policy()));
    }
    let mut bench = Bench::new(settings);
    bench.open(1);
    found(&mut bench, &["t"]);
    found(&mut bench, &["t", "u"]);
    let of = |topic| PartitionId {
        topic: TopicIndex(topic),
        partition: 0,
    };
    for topic in [0, 1] {
        let range = LogRange {
            earliest: 5,
            latest: 9,
        };
        bench.logs.insert(of(topic), range);
    }
    bench.assign_all(vec![of(0), of(1)]);
    assert_eq!(bench.client[&of(0)].offset, 9);
    assert_eq!(bench.client[&of(1)].offset, 5);
}

#[test]
fn found_topics_are_delivered_as_their_policy_says() {
    let of = |topic: &str| {
        topic.starts_with('u').then(|| Policy {
            failures_max: 1,
            then: WhenSpent::Discard,
            ..policy()
        })
    };
    let mut settings = finding();
    if let Some(finder) = &mut settings.find_topics {
        finder.policy_of = Arc::new(of);
    }
    let mut bench = Bench::new(settings);
    found(&mut bench, &["u1"]);
    assert_eq!(bench.core.policy(TopicIndex(0)).failures_max, 0);
    assert_eq!(bench.core.policy(TopicIndex(1)).then, WhenSpent::Discard);
}

#[test]
fn what_was_asked_of_a_client_that_is_gone_is_asked_again() {
    let mut bench = Bench::new(finding());
    bench.open(1);
    bench.pass(seconds(1));
    assert_eq!(looks(&mut bench), 1);
    bench.input(Input::ClientRestarted);
    bench.pass(seconds(1));
    assert_eq!(looks(&mut bench), 1);
}

#[test]
fn the_status_says_that_nothing_is_found() {
    let mut settings = finding();
    settings.topics.clear();
    settings.policies.clear();
    let mut bench = Bench::new(settings);
    assert!(bench.core.status().without_topics);
    found(&mut bench, &["u1"]);
    assert!(!bench.core.status().without_topics);
    found(&mut bench, &["v"]);
    assert!(bench.core.status().without_topics);
}

/// Out of the group the client is not replaced before the next join, and what it was asked meanwhile is lost then.
#[test]
fn what_was_asked_of_a_client_that_the_next_join_replaces_is_asked_again() {
    let mut bench = Bench::new(finding());
    bench.input(Input::Rejoin);
    bench.pass(seconds(1));
    assert_eq!(looks(&mut bench), 1);
    bench.open(1);
    assert_eq!(bench.lines("join").len(), 1);
    bench.pass(seconds(1));
    assert_eq!(looks(&mut bench), 1);
}

/// As [`finding_all`], and joins when the process starts.
fn finding_at_start() -> Settings {
    Settings {
        join: JoinWhen::AtStart,
        ..finding_all()
    }
}

#[test]
fn a_topic_that_comes_back_while_the_group_is_left_is_joined_for() {
    let mut bench = Bench::new(finding_at_start());
    found(&mut bench, &["u"]);
    assert_eq!(bench.lines("join").len(), 1);
    found(&mut bench, &[]);
    assert_eq!(bench.lines("leave").len(), 1);
    found(&mut bench, &["u"]);
    bench.input(Input::GroupLeft);
    bench.pass(seconds(1));
    assert_eq!(bench.lines("join").len(), 1);
}

#[test]
fn a_group_whose_time_is_over_while_there_is_no_topic_is_not_joined_for_one() {
    let mut bench = Bench::new(finding_at_start());
    found(&mut bench, &["u"]);
    bench.open(1);
    bench.close(1);
    found(&mut bench, &[]);
    bench.input(Input::GroupLeft);
    bench.pass(seconds(360));
    bench.forget();
    found(&mut bench, &["u"]);
    bench.pass(seconds(1));
    assert!(bench.lines("join").is_empty());
    bench.open(2);
    assert_eq!(bench.lines("join").len(), 1);
}

#[test]
fn who_was_alone_for_long_when_a_topic_comes_does_not_join_for_it() {
    let mut bench = Bench::new(finding_at_start());
    found(&mut bench, &["u"]);
    bench.open(1);
    found(&mut bench, &[]);
    bench.input(Input::GroupLeft);
    bench.close(1);
    bench.pass(seconds(360));
    bench.forget();
    found(&mut bench, &["u"]);
    assert!(bench.lines("join").is_empty());
    bench.open(2);
    assert_eq!(bench.lines("join").len(), 1);
}

/// The group gives a static member what it had, which may be partitions of topics that are not found yet.
#[test]
fn a_static_member_joins_when_it_has_looked_for_topics() {
    let mut bench = Bench::new(Settings {
        static_member: true,
        ..finding()
    });
    bench.open(1);
    bench.pass(seconds(1));
    assert_eq!(bench.lines("join").len(), 0);
    assert!(bench.core.status().without_topics);
    found(&mut bench, &["t"]);
    assert_eq!(bench.lines("join").len(), 1, "though nothing was found");
}
