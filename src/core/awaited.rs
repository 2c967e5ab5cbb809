//! Who waits for a commit, and what are they told?
//!
//! A caller waits, for each partition it acknowledged something of, for one commit that was built after
//! its acknowledgement was accepted. Another partition that cannot be committed is none of its business. A
//! stream that is closing waits for one commit, whatever that commit holds.
//!
//! # Invariants
//!
//! - I-S8: "committed" is answered only if a successful commit covers everything named, by offset or by
//!   marks.
//! - Whoever waits is answered: each partition's turn ends with its commit, with the loss of that commit, or
//!   with the assignment.

use std::collections::{BTreeMap, BTreeSet};

use super::Core;
use super::effect::{CommitEntry, Effect, StreamEnd};
use super::ids::{Assignment, CommitId, StreamId, WaitId};

/// What a caller needs of one partition.
#[derive(Debug)]
struct Need {
    /// Highest offset acknowledged.
    offset: i64,
    /// The request that was built after the acknowledgement.
    request: Option<CommitId>,
}

/// A caller that waits until what it acknowledged is committed.
#[derive(Debug)]
struct Wait {
    id: WaitId,
    /// What is not decided yet.
    needs: BTreeMap<Assignment, Need>,
    /// Something it named was refused or is not covered, so the answer is no whatever else is committed.
    in_vain: bool,
    /// What covers what was decided.
    offered: Vec<CommitEntry>,
}

/// A closing stream that waits for one commit.
#[derive(Debug)]
struct Closing {
    stream: StreamId,
    /// The request that was built after it began to wait.
    request: Option<CommitId>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    waits: Vec<Wait>,
    closing: Vec<Closing>,
}

impl Awaited {
    pub(super) fn is_anyone_waiting(&self) -> bool {
        !(self.waits.is_empty() && self.closing.is_empty())
    }

    /// A request was built from these assignments, in rising order.
    pub(super) fn request_built(&mut self, request: CommitId, ids: &[Assignment]) {
        for wait in &mut self.waits {
            for (id, need) in &mut wait.needs {
                if ids.binary_search(id).is_ok() {
                    need.request.get_or_insert(request);
                }
            }
        }
        for closing in &mut self.closing {
            closing.request.get_or_insert(request);
        }
    }

    /// Nobody will hear what became of a request. Whoever acknowledged something is told so; a stream that
    /// is closing waits for the next one.
    pub(super) fn request_lost(&mut self, request: CommitId) {
        for wait in &mut self.waits {
            let before = wait.needs.len();
            wait.needs.retain(|_, need| need.request != Some(request));
            wait.in_vain |= wait.needs.len() < before;
        }
        for closing in &mut self.closing {
            closing.request = None;
        }
    }

    /// Nothing may be committed for long: whoever waits for a request that was not built is told so.
    pub(super) fn give_up(&mut self) {
        for wait in &mut self.waits {
            let before = wait.needs.len();
            wait.needs.retain(|_, need| need.request.is_some());
            wait.in_vain |= wait.needs.len() < before;
        }
    }

    /// The stream waits no more.
    pub(super) fn forget_stream(&mut self, stream: StreamId) {
        self.closing.retain(|closing| closing.stream != stream);
    }
}

impl Core {
    /// A caller waits until `needs`, the highest offset per assignment, are committed. `in_vain` if
    /// something else that it named was refused.
    pub(super) fn await_commit(
        &mut self,
        id: WaitId,
        needs: BTreeMap<Assignment, i64>,
        in_vain: bool,
    ) {
        let need = |offset| Need {
            offset,
            request: None,
        };
        self.commits.awaited.waits.push(Wait {
            id,
            needs: needs
                .into_iter()
                .map(|(id, offset)| (id, need(offset)))
                .collect(),
            in_vain,
            offered: Vec::new(),
        });
    }

    pub(super) fn await_close(&mut self, stream: StreamId) {
        self.commits.awaited.closing.push(Closing {
            stream,
            request: None,
        });
    }

    /// No request is out: what is not due for one is committed as it is, or never will be.
    pub(super) fn answer_what_is_committed(&mut self) {
        if self.commits.awaited.waits.is_empty() {
            return;
        }
        let decided = |core: &Self, id: &Assignment, _: &Need| !core.commits.dirty.contains(id);
        self.decide(decided, &BTreeSet::new());
    }

    /// A request ended. `failed` are the assignments of which it failed: only an older one may cover them.
    pub(super) fn request_ended(&mut self, request: CommitId, failed: &BTreeSet<Assignment>) {
        let decided = |_: &Self, _: &Assignment, need: &Need| need.request == Some(request);
        self.decide(decided, failed);
        let ended: Vec<StreamId> = self
            .commits
            .awaited
            .closing
            .iter()
            .filter(|closing| closing.request == Some(request))
            .map(|closing| closing.stream)
            .collect();
        self.end_streams_as_asked(ended);
    }

    /// Nothing is to be committed: streams that waited for it end.
    pub(super) fn end_closing_streams(&mut self) {
        let ended: Vec<StreamId> = self
            .commits
            .awaited
            .closing
            .iter()
            .map(|closing| closing.stream)
            .collect();
        self.end_streams_as_asked(ended);
    }

    fn end_streams_as_asked(&mut self, streams: Vec<StreamId>) {
        for stream in streams {
            self.commits.awaited.forget_stream(stream);
            self.end_stream(stream, StreamEnd::Closed);
        }
    }

    /// Decides the needs for which it is time, and answers those who have none left.
    fn decide(
        &mut self,
        decided: impl Fn(&Self, &Assignment, &Need) -> bool,
        failed: &BTreeSet<Assignment>,
    ) {
        let mut waits = std::mem::take(&mut self.commits.awaited.waits);
        waits.retain_mut(|wait| {
            let mut in_vain = wait.in_vain;
            wait.needs.retain(|id, need| {
                if !decided(self, id, need) {
                    return true;
                }
                if self.covers(*id, need.offset, failed.contains(id)) {
                    wait.offered.extend(self.offered(*id));
                } else {
                    in_vain = true;
                }
                false
            });
            wait.in_vain = in_vain;
            if wait.needs.is_empty() {
                self.effects.push(Effect::CommitAwaited {
                    wait: wait.id,
                    committed: !in_vain,
                    offered: std::mem::take(&mut wait.offered),
                });
            }
            !wait.needs.is_empty()
        });
        self.commits.awaited.waits = waits;
    }

    /// Whether what was committed of an assignment covers an acknowledged offset.
    fn covers(&self, id: Assignment, offset: i64, failed: bool) -> bool {
        self.assignments
            .get(&id)
            .and_then(|assignment| assignment.committed.as_ref())
            .is_some_and(|committed| committed.offset > offset || (committed.marks_kept && !failed))
    }
}
