//! What the metadata of a commit says of a record.

use ackline::core::LeaderEpoch;
use ackline::core::metadata::{Marks, Retried};

/// Whether a mark speaks of a record.
pub(super) fn is_marked(marks: &Marks, offset: i64, epoch: LeaderEpoch) -> bool {
    speaks_of(marks, epoch) && marks.finished.contains(offset)
}

/// What marks say of the failures of a record.
pub(super) fn retried_at(marks: &Marks, offset: i64, epoch: LeaderEpoch) -> Option<Retried> {
    let mut retried = marks.retried.iter().copied();
    retried.find(|retried| retried.offset == offset && speaks_of(marks, epoch))
}

fn speaks_of(marks: &Marks, epoch: LeaderEpoch) -> bool {
    !matches!((epoch, marks.leader_epoch), (Some(record), Some(mark)) if record > mark)
}
