use super::super::harness::*;
use super::super::*;

/// Two topics with two partitions each, in a group of static members.
fn static_member() -> Settings {
    Settings {
        static_member: true,
        ..settings()
    }
}

fn joined(settings: Settings) -> Bench {
    let mut bench = Bench::new(settings);
    for topic in 0..2 {
        bench.topics.insert(TopicIndex(topic), describe(topic, 2));
    }
    bench.open(1);
    bench.assign(&[0]);
    bench.forget();
    bench
}

/// The same, and brokers have not described the topics.
fn joined_unknowing() -> Bench {
    let mut bench = Bench::new(static_member());
    bench.answers.topics = false;
    bench.open(1);
    bench.assign(&[0]);
    bench
}

/// How often the group was looked at since this was last asked.
fn looks(bench: &mut Bench) -> usize {
    bench.lines("describe group").len()
}

/// How often the group was left since this was last asked.
fn left(bench: &mut Bench) -> usize {
    bench.lines("leave").len()
}

fn described(bench: &mut Bench, owned: &[PartitionId]) {
    let answer = Ok(GroupDescription {
        rests: true,
        owned: owned.to_vec(),
        ours: Vec::new(),
    });
    bench.input(Input::GroupDescribed {
        ask: GroupAsk(0),
        answer,
    });
}

fn everything() -> Vec<PartitionId> {
    vec![partition(0), partition(1), other_topic(0), other_topic(1)]
}

#[test]
fn only_static_members_of_groups_that_members_share_out_look() {
    let shared_out = Settings {
        brokers_share_out: true,
        ..static_member()
    };
    for settings in [settings(), shared_out] {
        let mut bench = joined(settings);
        bench.pass(seconds(600));
        assert_eq!(looks(&mut bench), 0);
    }
}

#[test]
fn a_static_member_looks_once_when_everything_has_an_owner() {
    let mut bench = joined(static_member());
    bench.pass(seconds(10));
    assert_eq!(looks(&mut bench), 1);
    described(&mut bench, &everything());
    bench.pass(seconds(600));
    assert_eq!((looks(&mut bench), left(&mut bench)), (0, 0));
}

#[test]
fn what_has_no_owner_in_two_looks_makes_it_leave_and_join() {
    let mut bench = joined(static_member());
    bench.pass(seconds(10));
    described(&mut bench, &[partition(0), partition(1)]);
    assert_eq!(left(&mut bench), 0, "others may be starting");
    bench.pass(seconds(10));
    assert_eq!(looks(&mut bench), 2);
    described(&mut bench, &[partition(0), partition(1)]);
    assert_eq!(bench.lines("event Unowned").len(), 1);
    assert_eq!(left(&mut bench), 1);
    bench.revoke(&[0]);
    bench.pass(seconds(10));
    bench.forget();
    bench.input(Input::GroupLeft);
    assert_eq!(bench.lines("join").len(), 1);
}

#[test]
fn a_partition_that_moves_belongs_to_somebody_in_the_end() {
    let mut bench = joined(static_member());
    bench.pass(seconds(10));
    described(&mut bench, &everything()[1..]);
    bench.pass(seconds(10));
    described(&mut bench, &everything());
    bench.pass(seconds(600));
    assert_eq!(left(&mut bench), 0);
}

#[test]
fn a_process_leaves_only_once() {
    let mut bench = joined(static_member());
    for _ in 0..2 {
        bench.pass(seconds(10));
        described(&mut bench, &[]);
    }
    bench.revoke(&[0]);
    bench.pass(seconds(10));
    bench.input(Input::GroupLeft);
    bench.forget();
    bench.assign(&[0]);
    bench.pass(seconds(600));
    assert_eq!((looks(&mut bench), left(&mut bench)), (0, 0));
}

#[test]
fn a_group_that_does_not_rest_is_looked_at_again() {
    let mut bench = joined(static_member());
    bench.pass(seconds(10));
    for _ in 0..3 {
        bench.forget();
        let answer = Ok(GroupDescription {
            rests: false,
            owned: Vec::new(),
            ours: Vec::new(),
        });
        bench.input(Input::GroupDescribed {
            ask: GroupAsk(0),
            answer,
        });
        bench.pass(seconds(10));
        assert_eq!((looks(&mut bench), left(&mut bench)), (1, 0));
    }
}

#[test]
fn a_question_that_failed_is_asked_again_unless_brokers_know_no_answer() {
    let mut bench = joined(static_member());
    bench.pass(seconds(10));
    bench.forget();
    let answer = Err(ReadError::Transient("away".to_owned()));
    bench.input(Input::GroupDescribed {
        ask: GroupAsk(0),
        answer,
    });
    bench.pass(seconds(10));
    assert_eq!(looks(&mut bench), 1);
    let answer = Err(ReadError::Unsupported);
    bench.input(Input::GroupDescribed {
        ask: GroupAsk(0),
        answer,
    });
    bench.pass(seconds(600));
    assert_eq!((looks(&mut bench), left(&mut bench)), (0, 0));
}

#[test]
fn topics_that_do_not_exist_are_missed_by_nobody() {
    let mut bench = joined_unknowing();
    let answers = [
        Ok(describe(0, 2)),
        Err(ReadError::UnknownTopic("no such topic".to_owned())),
    ];
    for (topic, answer) in (0..).map(TopicIndex).zip(answers) {
        bench.input(Input::TopicDescribed { topic, answer });
    }
    bench.pass(seconds(9));
    assert_eq!(looks(&mut bench), 0, "it may be only a moment old");
    bench.pass(seconds(31));
    assert_eq!(looks(&mut bench), 1);
    described(&mut bench, &[partition(0), partition(1)]);
    bench.pass(seconds(600));
    assert_eq!((looks(&mut bench), left(&mut bench)), (0, 0));
}

#[test]
fn a_group_whose_topics_are_not_described_yet_is_not_judged() {
    let mut bench = joined_unknowing();
    bench.pass(seconds(11));
    assert_eq!(looks(&mut bench), 0);
    for topic in 0..2 {
        let answer = Ok(describe(topic, 2));
        bench.input(Input::TopicDescribed {
            topic: TopicIndex(topic),
            answer,
        });
    }
    bench.pass(seconds(10));
    assert_eq!(looks(&mut bench), 1);
}

#[test]
fn a_member_that_ends_does_not_leave_for_others() {
    let mut bench = joined(static_member());
    bench.pass(seconds(10));
    described(&mut bench, &[]);
    bench.shut_down(seconds(60));
    bench.pass(seconds(10));
    described(&mut bench, &[]);
    assert_eq!(bench.lines("event Unowned").len(), 0);
}

#[test]
fn partitions_of_topics_that_are_not_read_are_left_to_others() {
    let mut bench = joined(settings());
    bench.input(Input::UnreadAssigned { partitions: 2 });
    assert_eq!(left(&mut bench), 1);
    bench.revoke(&[0]);
    bench.pass(seconds(10));
    bench.forget();
    bench.input(Input::GroupLeft);
    assert_eq!(bench.lines("join").len(), 1);
}

/// Known from earlier, and not read any more: the group does not know that of a static member whose client was made anew.
#[test]
fn a_static_member_takes_nothing_of_a_topic_that_it_reads_no_more() {
    let wanted = |topic: &str| (topic == "u").then(policy);
    let mut bench = Bench::new(Settings {
        topics: vec!["t".to_owned()],
        policies: vec![policy()],
        find_topics: Some(FindTopics {
            every: seconds(60),
            topics_max: 2,
            policy_of: std::sync::Arc::new(wanted),
        }),
        ..static_member()
    });
    let found = |bench: &mut Bench, names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        bench.input(Input::TopicsFound { answer: Ok(names) });
    };
    bench.open(1);
    found(&mut bench, &["t", "u"]);
    found(&mut bench, &["t"]);
    bench.input(Input::ClientRestarted);
    bench.forget();
    bench.assign_all(vec![partition(0), other_topic(0)]);
    assert_eq!(bench.core.owned(), [partition(0)]);
    assert_eq!(
        bench.lines("event UnreadAssigned"),
        ["event UnreadAssigned { partitions: 1 }"]
    );
    assert_eq!(left(&mut bench), 1);
}
