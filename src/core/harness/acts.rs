//! What applications, brokers and operators do to a bench.

use super::*;

impl Bench {
    pub(in super::super) fn ack(&mut self, names: &str) -> Vec<String> {
        self.settle(&[(Outcome::Ack, names)])
    }

    pub(in super::super) fn retry(&mut self, names: &str) -> Vec<String> {
        self.settle(&[(Outcome::Retry { delay: None }, names)])
    }

    pub(in super::super) fn release(&mut self, names: &str) -> Vec<String> {
        self.settle(&[(Outcome::Release, names)])
    }

    pub(in super::super) fn settle(&mut self, settlements: &[(Outcome, &str)]) -> Vec<String> {
        let request = self.books.request(settlements, None);
        let refusals = self.settle_raw(&request);
        self.books.refusals(&refusals)
    }

    /// Acknowledges with something that goes out with it.
    pub(in super::super) fn ack_with(&mut self, names: &str, outputs: u64) -> Vec<String> {
        let mut request = self.books.request(&[(Outcome::Ack, names)], None);
        request.settlements[0].outputs = Some(NewOutputs {
            id: OutputsId(outputs),
            records: 1,
            bytes: 100,
        });
        let refusals = self.settle_raw(&request);
        self.books.refusals(&refusals)
    }

    /// Acknowledges and waits for the commit.
    pub(in super::super) fn ack_and_wait(&mut self, names: &str, wait: u64) -> Vec<String> {
        let request = self
            .books
            .request(&[(Outcome::Ack, names)], Some(WaitId(wait)));
        let refusals = self.settle_raw(&request);
        self.books.refusals(&refusals)
    }

    /// Ids of all live deliveries.
    pub(in super::super) fn live(&self) -> Vec<u64> {
        Books::live(&self.core)
    }

    pub(in super::super) fn settle_ids(
        &mut self,
        outcome: Outcome,
        ids: Vec<IdRange>,
    ) -> Vec<Refusal> {
        let settlement = Settlement {
            ids,
            outcome,
            reason: String::new(),
            outputs: None,
        };
        self.settle_raw(&SettleRequest {
            settlements: vec![settlement],
            ..SettleRequest::default()
        })
    }

    /// Moves the deadlines of what was delivered last of these records.
    pub(in super::super) fn extend(&mut self, names: &str, by: Duration) -> Vec<String> {
        let ids = names
            .split_whitespace()
            .map(|name| IdRange::one(self.books.id(name)));
        let extend = Extend {
            ids: ids.collect(),
            by,
        };
        let refusals = self.settle_raw(&SettleRequest {
            extends: vec![extend],
            ..SettleRequest::default()
        });
        self.books.refusals(&refusals)
    }

    /// The application behind a stream dies.
    pub(in super::super) fn die(&mut self, stream: u64) {
        self.close(stream);
        let stream = StreamId(stream);
        self.input(Input::StreamDied { stream });
    }

    /// The oldest dead letter is answered.
    pub(in super::super) fn letter_answered(&mut self, result: Result<(), DeadLetterError>) {
        let (assignment, number) = self.letters.pop_front().expect("a dead letter is out");
        self.input(Input::DeadLetterDone {
            assignment,
            number,
            result,
        });
    }

    /// An operator does something with parked records. Returns with how many.
    pub(in super::super) fn act(&mut self, which: WhichParked, action: ParkedAction) -> usize {
        let mut effects = Vec::new();
        let reason = std::sync::Arc::from("test");
        let count = self
            .core
            .act_on_parked(self.now, which, action, &reason, &mut effects);
        self.carry_out(effects);
        while let Some(reply) = self.replies.pop_front() {
            self.input(reply);
        }
        count
    }

    /// An application says where a partition starts.
    pub(in super::super) fn start_at(&mut self, answer: StartAnswer) -> Result<(), StartRefused> {
        let mut effects = Vec::new();
        let taken = self.core.start_at(self.now, answer, &mut effects);
        self.carry_out(effects);
        while let Some(reply) = self.replies.pop_front() {
            self.input(reply);
        }
        taken
    }

    pub(in super::super) fn settle_raw(&mut self, request: &SettleRequest) -> Vec<Refusal> {
        let mut effects = Vec::new();
        self.books.before_settle(&self.core, request);
        let refusals = self.core.settle(self.now, request, &mut effects);
        self.books.after_settle(request, &refusals);
        self.carry_out(effects);
        while let Some(reply) = self.replies.pop_front() {
            self.input(reply);
        }
        refusals
    }

    /// Answers the oldest commit request.
    pub(in super::super) fn commit_answered(&mut self, result: Result<(), CommitError>) {
        self.commit_answered_by(|_| result.clone());
    }

    /// Answers the oldest commit request, each partition in its own way.
    pub(in super::super) fn commit_answered_by(
        &mut self,
        result: impl Fn(i32) -> Result<(), CommitError>,
    ) {
        let (request, entries) = self.requests.pop_front().expect("a request is out");
        let mut results = Vec::new();
        for entry in &entries {
            let result = result(entry.partition.partition);
            if result.is_ok() {
                self.store(entry);
            }
            results.push((entry.assignment, result));
        }
        self.input(Input::CommitDone { request, results });
    }
}
