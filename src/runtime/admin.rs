//! What operators see and do: the engine as the admin edge and the status page see it.
//!
//! Every operation is written down with who asked for it and why; a seek when it is answered, with where from and where
//! to.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::engine::Engine;
use super::sidecar::Handle;
use crate::config::Config;
use crate::core::{
    AsideStep, AskId, Explanation, InFlight, Input, Moment, Operation, ParkedAction, ParkedStatus,
    PartitionId, Scope, SeekRefused, SeekTarget, Sought, WhichParked,
};
use crate::grpc::Event;
use crate::grpc::admin::{
    Acted, AdminServer, Operated, Operator, Tail, TooManyTails, View, Wanted, explained,
    process_status,
};
use crate::grpc::admin_proto as proto;
use crate::http::{Health, Page, Server};
use crate::observe::{Observer, Operated as Audit, ProcessEvent};

type Answer = Result<Sought, SeekRefused>;

/// What tells this process from others.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity {
    host: String,
    group: String,
}

impl Identity {
    pub(super) fn of(config: &Config) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self {
            host: host.trim().to_owned(),
            group: config.group.id.clone(),
        }
    }
}

/// A seek that waits for its answer.
#[derive(Debug)]
struct Ask {
    sender: oneshot::Sender<Answer>,
    partition: PartitionId,
    by: Operator,
}

/// Operators who wait for an answer of the core.
#[derive(Debug, Default)]
pub(super) struct Asks {
    last: u64,
    waiting: BTreeMap<AskId, Ask>,
}

/// Binds the admin socket. Where nobody named one and the default place cannot be used, such as on a laptop, the sidecar
/// runs without, and says so: consuming is its work.
pub(super) fn bind(
    config: &Config,
    observer: &Observer,
    now: Moment,
) -> anyhow::Result<Option<AdminServer>> {
    let Some(path) = &config.listen.admin else {
        return Ok(None);
    };
    match AdminServer::bind(path) {
        Ok(server) => {
            let (purpose, place) = ("operators", format!("unix:{}", path.display()));
            observer.report_process(now, &ProcessEvent::Listening { purpose, place });
            Ok(Some(server))
        }
        Err(error) if config.is_default("listen.admin") => {
            let error = format!("{:#}", anyhow::Error::from(error));
            let what = "listen.admin";
            observer.report_process(now, &ProcessEvent::DoneWithout { what, error });
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Binds the address of the status page, or goes without as [`bind`] does.
pub(super) async fn bind_page(
    config: &Config,
    observer: &Observer,
    now: Moment,
) -> anyhow::Result<Option<Server>> {
    let Some(address) = config.listen.status_page else {
        return Ok(None);
    };
    match Server::bind_page(address).await {
        Ok(server) => {
            let (purpose, place) = ("status page", server.address().to_string());
            observer.report_process(now, &ProcessEvent::Listening { purpose, place });
            Ok(Some(server))
        }
        Err(error) if config.is_default("listen.status_page") => {
            let error = format!("{:#}", anyhow::Error::from(error));
            let what = "listen.status_page";
            observer.report_process(now, &ProcessEvent::DoneWithout { what, error });
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

impl Page for Handle {
    fn page(&self) -> (proto::ProcessStatus, proto::ExplainResponse) {
        let view = self.view();
        let explanations = self.explain(Scope::Everything);
        let topics = Operated::topics(self);
        (
            process_status(&view, &topics),
            explained(&view, &explanations, &topics),
        )
    }
}

impl Operated for Handle {
    fn topics(&self) -> Arc<[String]> {
        crate::grpc::Sidecar::topics(self)
    }

    fn view(&self) -> View {
        let not_ready = self.ready().err();
        let engine = self.lock();
        View {
            host: engine.identity.host.clone(),
            group: engine.identity.group.clone(),
            now: engine.clock.now(),
            status: engine.core.status(),
            pauses: engine
                .core
                .pauses()
                .map(|(scope, pause)| (scope, pause.clone()))
                .collect(),
            not_ready,
        }
    }

    fn explain(&self, scope: Scope) -> Vec<Explanation> {
        self.lock().core.explain(scope)
    }

    fn in_flight(&self, scope: Scope, max: usize) -> Vec<InFlight> {
        self.lock().core.in_flight(scope, max)
    }

    fn parked(&self, scope: Scope, max: usize) -> Vec<ParkedStatus> {
        self.lock().core.parked(scope, max)
    }

    fn has_dead_letters(&self, which: WhichParked) -> bool {
        self.lock().core.has_dead_letters(which)
    }

    fn act_on_parked(&self, which: WhichParked, action: ParkedAction, by: &Operator) -> Acted {
        self.change(|engine| engine.act_on_parked(which, action, by))
    }

    fn tail(&self, wanted: Wanted, by: &Operator) -> Result<Tail, TooManyTails> {
        let mut engine = self.lock();
        let (scope, payload) = (wanted.scope, wanted.payload);
        let tail = engine.taps.open(wanted)?;
        let action = if payload {
            "operator_tail_payload"
        } else {
            "operator_tail"
        };
        let place = engine.place(scope);
        engine.tell_person(&ProcessEvent::Operated(Audit {
            place,
            ..audited(action, by)
        }));
        Ok(tail)
    }

    fn may_pause(&self, scope: Scope) -> bool {
        self.lock().core.may_pause(scope)
    }

    fn operate(&self, operation: Operation, by: &Operator) {
        self.change(|engine| {
            if let Some(audit) = engine.audit(&operation, by) {
                engine.tell_person(&ProcessEvent::Operated(audit));
            }
            engine.input(Input::Operate(operation));
        });
    }

    fn seek(
        &self,
        partition: PartitionId,
        target: SeekTarget,
        by: &Operator,
    ) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        self.change(|engine| {
            engine.asks.last += 1;
            let ask = AskId(engine.asks.last);
            let by = by.clone();
            let waiting = Ask {
                sender,
                partition,
                by,
            };
            engine.asks.waiting.insert(ask, waiting);
            engine.input(Input::Operate(Operation::Seek {
                ask,
                partition,
                target,
            }));
        });
        receiver
    }

    fn report(&self, event: Event) {
        crate::grpc::Sidecar::report(self, event);
    }
}

impl Engine {
    /// What is written down of an operation; `None` for one that is written down when it is answered.
    fn audit(&self, operation: &Operation, by: &Operator) -> Option<Audit> {
        let (action, place) = match operation {
            Operation::Pause { scope, .. } => ("operator_pause", self.place(*scope)),
            Operation::Resume { scope } => ("operator_resume", self.place(*scope)),
            Operation::Drain { .. } => ("operator_drain", "this process".to_owned()),
            Operation::Seek { .. } => return None,
        };
        Some(Audit {
            place,
            ..audited(action, by)
        })
    }

    fn place(&self, scope: Scope) -> String {
        let topic = |index: crate::core::TopicIndex| {
            let topic = self.topics.get(usize::from(index.0));
            topic.map_or("?", String::as_str)
        };
        match scope {
            Scope::Everything => "everything".to_owned(),
            Scope::Topic(index) => topic(index).to_owned(),
            Scope::Partition(id) => format!("{}/{}", topic(id.topic), id.partition),
        }
    }

    fn act_on_parked(&mut self, which: WhichParked, action: ParkedAction, by: &Operator) -> Acted {
        let place = match which {
            WhichParked::Of(scope) => self.place(scope),
            WhichParked::Record(id, offset) => {
                format!("{}/{offset}", self.place(Scope::Partition(id)))
            }
        };
        let name = match action {
            ParkedAction::Retry => "operator_parked_retry",
            ParkedAction::Skip => "operator_parked_skip",
            ParkedAction::DeadLetter => "operator_parked_dead_letter",
        };
        let scope = match which {
            WhichParked::Of(scope) => scope,
            WhichParked::Record(id, _) => Scope::Partition(id),
        };
        let mut acted = left_alone(&self.core.parked(scope, usize::MAX), which, action, |id| {
            let partition = WhichParked::Of(Scope::Partition(id));
            self.core.has_dead_letters(partition)
        });
        let now = self.clock.now();
        let mut effects = Vec::new();
        let reason = Arc::from(by.reason.as_str());
        acted.records = self
            .core
            .act_on_parked(now, which, action, &reason, &mut effects);
        self.tell_person(&ProcessEvent::Operated(Audit {
            place,
            count: Some(acted.records),
            ..audited(name, by)
        }));
        self.carry_out(&mut effects);
        self.run();
        acted
    }

    /// A seek was answered.
    pub(super) fn sought(&mut self, ask: AskId, answer: Answer) {
        let Some(asked) = self.asks.waiting.remove(&ask) else {
            return;
        };
        let place = self.place(Scope::Partition(asked.partition));
        let audit = match &answer {
            Ok(sought) => Audit {
                place,
                from: sought.from,
                to: Some(sought.to),
                ..audited("operator_seek", &asked.by)
            },
            Err(_) => Audit {
                place,
                ..audited("operator_seek_refused", &asked.by)
            },
        };
        self.tell_person(&ProcessEvent::Operated(audit));
        // Whoever asked may have gone away.
        let _gone = asked.sender.send(answer);
    }
}

fn audited(action: &'static str, by: &Operator) -> Audit {
    Audit {
        action,
        place: String::new(),
        count: None,
        from: None,
        to: None,
        uid: by.uid,
        pid: by.pid,
        why: by.reason.clone(),
    }
}

/// With how many of these records that cannot be done.
fn left_alone(
    parked: &[ParkedStatus],
    which: WhichParked,
    action: ParkedAction,
    has_topic: impl Fn(PartitionId) -> bool,
) -> Acted {
    let mut left = Acted::default();
    for record in parked {
        if let WhichParked::Record(_, offset) = which
            && offset != record.offset
        {
            continue;
        }
        if record.step == AsideStep::Sending {
            left.on_their_way += 1;
        } else if action == ParkedAction::DeadLetter && !has_topic(record.partition) {
            left.without_topic += 1;
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Cause, TopicIndex};

    fn partition(topic: u16) -> PartitionId {
        PartitionId {
            topic: TopicIndex(topic),
            partition: 0,
        }
    }

    fn record(topic: u16, offset: i64, step: AsideStep) -> ParkedStatus {
        ParkedStatus {
            partition: partition(topic),
            offset,
            cause: Cause::Failures,
            reason: Arc::from(""),
            failures: 1,
            deaths: 0,
            since: Moment(0),
            step,
            behind: 0,
        }
    }

    #[test]
    fn what_an_operator_cannot_act_upon_is_counted_with_its_reason() {
        let parked = [
            record(0, 1, AsideStep::Parked(None)),
            record(0, 2, AsideStep::Sending),
            record(1, 3, AsideStep::Parked(None)),
            record(1, 4, AsideStep::Sending),
            record(1, 5, AsideStep::SendAgain(Moment(9))),
        ];
        let left = |which, action| {
            let left = left_alone(&parked, which, action, |id| id == partition(0));
            (left.records, left.on_their_way, left.without_topic)
        };
        let all = WhichParked::Of(Scope::Everything);
        assert_eq!(left(all, ParkedAction::Skip), (0, 2, 0));
        assert_eq!(left(all, ParkedAction::DeadLetter), (0, 2, 2));
        let one = |offset| WhichParked::Record(partition(1), offset);
        assert_eq!(left(one(3), ParkedAction::DeadLetter), (0, 0, 1));
        assert_eq!(left(one(4), ParkedAction::Retry), (0, 1, 0));
    }
}
