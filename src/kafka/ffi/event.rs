//! Events: what a queue hands out, apart from messages.

use std::ffi::{CStr, c_char, c_int};
use std::ptr::{NonNull, null};

use rdkafka::bindings as sys;

use super::list::views;
use super::{Code, Failure, PartitionView, text_at};
use crate::core::TopicUuid;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kafka) enum EventKind {
    /// The group gives or takes partitions.
    Rebalance,
    /// Something is wrong with the client, a broker or a topic.
    Error,
    /// A log line.
    Log,
    /// The result of a commit.
    Committed,
    /// The result of reading committed offsets.
    CommittedRead,
    /// The result of listing offsets.
    OffsetsListed,
    /// The result of describing topics.
    TopicsDescribed,
    /// The result of describing the group.
    GroupDescribed,
    /// A record, which should have gone to the queue of records.
    Record,
    /// What became of records that were to be written.
    Written,
    /// Nothing we asked for.
    Other,
}

/// One event.
pub(in crate::kafka) struct Event {
    event: NonNull<sys::rd_kafka_event_t>,
}

impl Event {
    /// Takes over an event.
    ///
    /// # Safety
    ///
    /// `event` is valid and nobody else frees it.
    pub(super) unsafe fn own(event: NonNull<sys::rd_kafka_event_t>) -> Self {
        Self { event }
    }

    /// What it is about.
    pub(in crate::kafka) fn kind(&self) -> EventKind {
        // SAFETY: the event is ours.
        match unsafe { sys::rd_kafka_event_type(self.event.as_ptr()) } {
            sys::RD_KAFKA_EVENT_REBALANCE => EventKind::Rebalance,
            sys::RD_KAFKA_EVENT_ERROR => EventKind::Error,
            sys::RD_KAFKA_EVENT_FETCH => EventKind::Record,
            sys::RD_KAFKA_EVENT_DR => EventKind::Written,
            sys::RD_KAFKA_EVENT_LOG => EventKind::Log,
            sys::RD_KAFKA_EVENT_OFFSET_COMMIT => EventKind::Committed,
            sys::RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT => EventKind::CommittedRead,
            sys::RD_KAFKA_EVENT_LISTOFFSETS_RESULT => EventKind::OffsetsListed,
            sys::RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT => EventKind::TopicsDescribed,
            sys::RD_KAFKA_EVENT_DESCRIBECONSUMERGROUPS_RESULT => EventKind::GroupDescribed,
            _ => EventKind::Other,
        }
    }

    /// The error of the whole event; of a rebalance, which of the two it is.
    pub(in crate::kafka) fn code(&self) -> Code {
        // SAFETY: the event is ours.
        unsafe { Code::of_event(self.event.as_ptr()) }
    }

    /// The error of the whole event with its words.
    pub(in crate::kafka) fn failure(&self) -> Option<Failure> {
        let code = self.code();
        // SAFETY: the event is ours, and the text lives as long as it does.
        let text = unsafe { text_at(sys::rd_kafka_event_error_string(self.event.as_ptr())) };
        code.is_error().then(|| Failure {
            code,
            text: text.into_owned(),
        })
    }

    /// Whether the error ends the client.
    pub(in crate::kafka) fn is_fatal(&self) -> bool {
        // SAFETY: the event is ours.
        unsafe { sys::rd_kafka_event_error_is_fatal(self.event.as_ptr()) != 0 }
    }

    /// The number given with the request.
    pub(in crate::kafka) fn request(&self) -> usize {
        // SAFETY: the event is ours; the pointer is only a number and never followed.
        unsafe { sys::rd_kafka_event_opaque(self.event.as_ptr()) }.addr()
    }

    /// The partitions of a rebalance or of a commit.
    pub(in crate::kafka) fn partitions(&self) -> impl ExactSizeIterator<Item = PartitionView<'_>> {
        // SAFETY: the event is ours, and the list lives as long as it does.
        unsafe {
            views(sys::rd_kafka_event_topic_partition_list(
                self.event.as_ptr(),
            ))
        }
    }

    /// Topic and partition of a record.
    pub(in crate::kafka) fn record_place(&self) -> Option<(&CStr, i32)> {
        // SAFETY: the event is ours, and so is the message it holds; the topic lives as long.
        unsafe {
            let message = sys::rd_kafka_event_message_next(self.event.as_ptr());
            if message.is_null() || (*message).rkt.is_null() {
                return None;
            }
            let topic = CStr::from_ptr(sys::rd_kafka_topic_name((*message).rkt));
            Some((topic, (*message).partition))
        }
    }

    /// The next message that the event holds.
    ///
    /// # Safety
    ///
    /// The message is not used longer than the event.
    pub(super) unsafe fn next_message(&self) -> Option<*const sys::rd_kafka_message_t> {
        // SAFETY: the event is ours.
        let message = unsafe { sys::rd_kafka_event_message_next(self.event.as_ptr()) };
        (!message.is_null()).then_some(message)
    }

    /// Level, facility and text of a log line.
    pub(in crate::kafka) fn log_line(&self) -> Option<(i32, String, String)> {
        let mut facility: *const c_char = null();
        let mut line: *const c_char = null();
        let mut level: c_int = 0;
        // SAFETY: the event is ours, and the texts live as long as it does; they are copied.
        unsafe {
            let answer = sys::rd_kafka_event_log(
                self.event.as_ptr(),
                &raw mut facility,
                &raw mut line,
                &raw mut level,
            );
            (answer == 0).then(|| {
                (
                    level,
                    text_at(facility).into_owned(),
                    text_at(line).into_owned(),
                )
            })
        }
    }

    /// The committed offsets of the group asked about.
    pub(in crate::kafka) fn committed(&self) -> Result<Vec<PartitionView<'_>>, Failure> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        // SAFETY: the event is ours; the result, its groups and their partitions live as long as it
        // does. A result of another kind is null.
        unsafe {
            let result = sys::rd_kafka_event_ListConsumerGroupOffsets_result(self.event.as_ptr());
            if result.is_null() {
                return Ok(Vec::new());
            }
            let mut count = 0;
            let groups =
                sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count);
            if groups.is_null() || count == 0 {
                return Ok(Vec::new());
            }
            let error = sys::rd_kafka_group_result_error(*groups);
            if !error.is_null() {
                return Err(Failure::copy_of(error));
            }
            Ok(views(sys::rd_kafka_group_result_partitions(*groups)).collect())
        }
    }

    /// The offsets listed.
    pub(in crate::kafka) fn listed(&self) -> Result<Vec<PartitionView<'_>>, Failure> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        // SAFETY: the event is ours; the result and its partitions live as long as it does, and
        // `infos` has `count` elements. A result of another kind is null.
        unsafe {
            let result = sys::rd_kafka_event_ListOffsets_result(self.event.as_ptr());
            if result.is_null() {
                return Ok(Vec::new());
            }
            let mut count = 0;
            let infos = sys::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
            let element = |index| {
                let info = *infos.add(index);
                PartitionView::new(sys::rd_kafka_ListOffsetsResultInfo_topic_partition(info))
            };
            Ok((0..count).map(element).collect())
        }
    }

    /// The group described: whether it rests, and what its members own. `None` if the answer is about no group.
    pub(in crate::kafka) fn group(&self) -> Result<Option<DescribedGroup<'_>>, Failure> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        // SAFETY: the event is ours; the result and its descriptions live as long as it does, and
        // `groups` has `count` elements. A result of another kind is null.
        unsafe {
            let result = sys::rd_kafka_event_DescribeConsumerGroups_result(self.event.as_ptr());
            if result.is_null() {
                return Ok(None);
            }
            let mut count = 0;
            let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
            (count > 0)
                .then(|| DescribedGroup::read(*groups))
                .transpose()
        }
    }

    /// The topics described.
    pub(in crate::kafka) fn described(&self) -> Result<Vec<DescribedTopic<'_>>, Failure> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        // SAFETY: the event is ours; the result and its descriptions live as long as it does, and
        // `topics` has `count` elements. A result of another kind is null.
        unsafe {
            let result = sys::rd_kafka_event_DescribeTopics_result(self.event.as_ptr());
            if result.is_null() {
                return Ok(Vec::new());
            }
            let mut count = 0;
            let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            Ok((0..count)
                .map(|index| DescribedTopic::read(*topics.add(index)))
                .collect())
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: ours, and not used after this.
        unsafe { sys::rd_kafka_event_destroy(self.event.as_ptr()) }
    }
}

/// What a broker says of one topic.
pub(in crate::kafka) struct DescribedTopic<'a> {
    /// Its name.
    pub(in crate::kafka) name: &'a CStr,
    /// Its id and its partition count.
    pub(in crate::kafka) answer: Result<(Option<TopicUuid>, usize), Failure>,
}

impl DescribedTopic<'_> {
    /// Reads a description.
    ///
    /// # Safety
    ///
    /// `topic` is valid as long as the result is used.
    unsafe fn read(topic: *const sys::rd_kafka_TopicDescription_t) -> Self {
        // SAFETY: valid by the contract, and so are the parts it hands out.
        unsafe {
            let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic));
            let error = sys::rd_kafka_TopicDescription_error(topic);
            if !error.is_null() {
                return Self {
                    name,
                    answer: Err(Failure::copy_of(error)),
                };
            }
            let mut count = 0;
            sys::rd_kafka_TopicDescription_partitions(topic, &raw mut count);
            let id = sys::rd_kafka_TopicDescription_topic_id(topic);
            let mut bytes = [0; 16];
            if !id.is_null() {
                let high = sys::rd_kafka_Uuid_most_significant_bits(id);
                let low = sys::rd_kafka_Uuid_least_significant_bits(id);
                bytes[..8].copy_from_slice(&high.to_be_bytes());
                bytes[8..].copy_from_slice(&low.to_be_bytes());
            }
            // Brokers without topic ids answer with zeros.
            let id = (bytes != [0; 16]).then_some(TopicUuid(bytes));
            Self {
                name,
                answer: Ok((id, count)),
            }
        }
    }
}

/// Who owns what in a group.
pub(in crate::kafka) struct DescribedGroup<'a> {
    /// No rebalance is under way.
    pub(in crate::kafka) rests: bool,
    /// Its members.
    pub(in crate::kafka) members: Vec<DescribedMember<'a>>,
}

/// One member of a group.
pub(in crate::kafka) struct DescribedMember<'a> {
    /// The name that the group gave to it.
    pub(in crate::kafka) id: &'a CStr,
    /// What it owns.
    pub(in crate::kafka) owned: Vec<PartitionView<'a>>,
}

impl DescribedGroup<'_> {
    /// Reads a description.
    ///
    /// # Safety
    ///
    /// `group` is valid as long as the result is used.
    unsafe fn read(
        group: *const sys::rd_kafka_ConsumerGroupDescription_t,
    ) -> Result<Self, Failure> {
        use sys::rd_kafka_consumer_group_state_t::RD_KAFKA_CONSUMER_GROUP_STATE_STABLE;
        // SAFETY: valid by the contract, and so are its members, of which there are so many, and their lists.
        unsafe {
            let error = sys::rd_kafka_ConsumerGroupDescription_error(group);
            if !error.is_null() {
                return Err(Failure::copy_of(error));
            }
            let mut members = Vec::new();
            for index in 0..sys::rd_kafka_ConsumerGroupDescription_member_count(group) {
                let member = sys::rd_kafka_ConsumerGroupDescription_member(group, index);
                let assignment = sys::rd_kafka_MemberDescription_assignment(member);
                let list = if assignment.is_null() {
                    null()
                } else {
                    sys::rd_kafka_MemberAssignment_partitions(assignment)
                };
                members.push(DescribedMember {
                    id: CStr::from_ptr(sys::rd_kafka_MemberDescription_consumer_id(member)),
                    owned: views(list).collect(),
                });
            }
            let state = sys::rd_kafka_ConsumerGroupDescription_state(group);
            Ok(Self {
                rests: state == RD_KAFKA_CONSUMER_GROUP_STATE_STABLE,
                members,
            })
        }
    }
}
