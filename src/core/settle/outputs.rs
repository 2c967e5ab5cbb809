//! Acknowledgements that bring outputs along.
//!
//! # Invariants
//!
//! - Such a settlement is applied whole or not at all. Ids that were acknowledged before are refused when others of it were
//!   not: its outputs speak of all of them, and some might go out twice.
//! - The same settlement again is accepted, and makes no outputs.

use std::collections::BTreeMap;

use super::{Progress, RefusalReason};
use crate::core::Core;
use crate::core::delivery::{Dead, OutcomeKind, Owner, Stream};
use crate::core::ids::{Assignment, IdRange, StreamId};
use crate::core::input::{Outcome, Settlement};
use crate::mutant;

/// What a stretch of ids is to an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Live,
    /// Acknowledged before.
    Same,
    Refused(RefusalReason),
}

impl Core {
    /// Whether a settlement may be applied; if not, everything that stands in its way is refused. What it finishes is
    /// collected from here on, if it brings outputs.
    pub(super) fn begin_outputs(
        &mut self,
        settlement: &Settlement,
        progress: &mut Progress,
    ) -> bool {
        progress.collected = None;
        let Some(new) = &settlement.outputs else {
            return true;
        };
        debug_assert!(
            self.is_transactional() && settlement.outcome == Outcome::Ack,
            "the edge lets no other outputs pass"
        );
        let verdicts = self.verdicts(settlement);
        let is = |wanted: Verdict| verdicts.iter().any(|(_, verdict)| *verdict == wanted);
        let refused = |(_, verdict): &(IdRange, Verdict)| matches!(verdict, Verdict::Refused(_));
        let mixed = is(Verdict::Live) && is(Verdict::Same);
        if (mixed || verdicts.iter().any(refused)) && !mutant::planted("outputs-in-part") {
            self.refuse_whole(&verdicts, mixed, progress);
            self.drop_outputs(vec![new.id]);
            return false;
        }
        if is(Verdict::Live) || mutant::planted("outputs-again") {
            progress.collected = Some(BTreeMap::new());
        } else {
            self.drop_outputs(vec![new.id]);
        }
        true
    }

    /// A settlement was applied: what it brought along goes out with what it finished.
    pub(super) fn end_outputs(&mut self, settlement: &Settlement, progress: &mut Progress) {
        if let (Some(new), Some(of)) = (settlement.outputs, progress.collected.take()) {
            self.take_outputs(new, of, None);
        }
    }

    fn refuse_whole(
        &mut self,
        verdicts: &[(IdRange, Verdict)],
        mixed: bool,
        progress: &mut Progress,
    ) {
        for (ids, verdict) in verdicts {
            let reason = match verdict {
                Verdict::Live => continue,
                Verdict::Same if !mixed => continue,
                Verdict::Same => RefusalReason::Conflict,
                Verdict::Refused(reason) => *reason,
            };
            let counter = match reason {
                RefusalReason::Stale => &mut self.counters.stale_settlements,
                RefusalReason::Conflict => &mut self.counters.conflicting_settlements,
                RefusalReason::Unknown => &mut self.counters.unknown_settlements,
            };
            *counter += 1;
            progress.refuse(reason, *ids);
        }
    }

    fn verdicts(&self, settlement: &Settlement) -> Vec<(IdRange, Verdict)> {
        let mut verdicts = Vec::new();
        for range in &settlement.ids {
            if range.first > range.last {
                verdicts.push((*range, Verdict::Refused(RefusalReason::Unknown)));
                continue;
            }
            let mut issued: Vec<(StreamId, IdRange)> = Vec::new();
            self.streams.cut(*range, |stretch, owner| match owner {
                Owner::Nobody => {
                    verdicts.push((stretch, Verdict::Refused(RefusalReason::Unknown)));
                }
                Owner::Ended => {
                    verdicts.push((stretch, Verdict::Refused(RefusalReason::Stale)));
                }
                Owner::Stream(stream) => issued.push((stream, stretch)),
            });
            for (id, stretch) in issued {
                if let Some(stream) = self.streams.map.get(&id) {
                    judge(stream, stretch, &mut verdicts);
                }
            }
        }
        verdicts
    }

    /// Offsets of records that are about to be finished, for whoever collects them.
    pub(super) fn collect(&self, id: Assignment, numbers: &[u64], progress: &mut Progress) {
        let Some(collected) = &mut progress.collected else {
            return;
        };
        if let Some(assignment) = self.assignments.get(&id) {
            let offsets = numbers.iter();
            let offsets = offsets.filter_map(|number| assignment.window.offset(*number));
            collected.entry(id).or_default().extend(offsets);
        }
    }
}

/// Judges ids that one stream issued, live and dead.
fn judge(stream: &Stream, range: IdRange, verdicts: &mut Vec<(IdRange, Verdict)>) {
    let mut next = range.first;
    let from = stream.frame_of(range.first);
    for (first, frame) in stream.frames.range(from..=range.last) {
        let count = frame.numbers.len();
        let index = |id: u64| usize::try_from(id.saturating_sub(*first)).unwrap_or(count);
        let end = count.min(index(range.last).saturating_add(1));
        let mut at = index(next).min(end);
        while let Some(live) = frame.next_live(at, end) {
            let stop = (live..end).find(|at| !frame.is_live(*at)).unwrap_or(end);
            let live_id = first + live as u64;
            if live_id > next {
                let dead = IdRange {
                    first: next,
                    last: live_id - 1,
                };
                judge_dead(stream, dead, verdicts);
            }
            next = first + stop as u64;
            let ids = IdRange {
                first: live_id,
                last: next - 1,
            };
            verdicts.push((ids, Verdict::Live));
            at = stop;
        }
    }
    if next <= range.last {
        let dead = IdRange {
            first: next,
            last: range.last,
        };
        judge_dead(stream, dead, verdicts);
    }
}

fn judge_dead(stream: &Stream, range: IdRange, verdicts: &mut Vec<(IdRange, Verdict)>) {
    stream.classify_dead(range, OutcomeKind::Ack, |ids, dead| {
        let verdict = match dead {
            Dead::Same { .. } => Verdict::Same,
            Dead::Other => Verdict::Refused(RefusalReason::Conflict),
            Dead::Forgotten => Verdict::Refused(RefusalReason::Stale),
        };
        verdicts.push((ids, verdict));
    });
}
