//! The Kafka client and the broker of a bench: what they do when told to.

use super::*;

impl Bench {
    pub(super) fn store(&mut self, entry: &CommitEntry) {
        let committed = CommittedOffset {
            offset: entry.offset,
            leader_epoch: entry.leader_epoch,
            metadata: entry.metadata.clone().into_bytes(),
        };
        self.broker.insert(entry.partition, committed);
    }

    pub(super) fn answer(&mut self, effect: Effect) {
        match effect {
            Effect::Assign {
                partitions,
                answers_rebalance,
            } => self.set_assignment(partitions, answers_rebalance),
            Effect::Unassign {
                partitions,
                answers_rebalance,
            } => self.take_assignment(&partitions, answers_rebalance),
            Effect::DeadLetter(letter) => {
                let record = (letter.assignment, letter.number);
                self.letters.push_back(record);
                if let Some(result) = self.answers.dead_letters.clone() {
                    let (assignment, number) = record;
                    self.letters.pop_back();
                    self.replies.push_back(Input::DeadLetterDone {
                        assignment,
                        number,
                        result,
                    });
                }
            }
            Effect::Wake(stream) => drop(self.woken.insert(stream)),
            Effect::Pause(partitions) => self.paused.extend(partitions),
            Effect::Resume(partitions) => self.paused.retain(|paused| !partitions.contains(paused)),
            Effect::ReadCommitted(wanted) if self.answers.committed => {
                let reply = self.committed_offsets(&wanted);
                self.replies.push_back(reply);
            }
            Effect::ListOffsets(wanted) if self.answers.lists => {
                for (assignment, partition) in wanted {
                    let range = self.logs.get(&partition).copied();
                    let answer = Ok(range.unwrap_or(LogRange {
                        earliest: 0,
                        latest: 100,
                    }));
                    self.replies
                        .push_back(Input::OffsetsListed { assignment, answer });
                }
            }
            Effect::DescribeTopics(topics) if self.answers.topics => {
                for topic in topics {
                    let answer = Ok(self.topics[&topic]);
                    self.replies
                        .push_back(Input::TopicDescribed { topic, answer });
                }
            }
            Effect::Transact { .. } | Effect::MakeProducer(_) => self.take_transaction(effect),
            Effect::Commit { request, entries } => {
                assert!(self.requests.is_empty(), "one request is out at a time");
                self.books.check_commit(&self.core, &entries);
                if self.answers.commits {
                    let results = entries.iter().map(|entry| (entry.assignment, Ok(())));
                    let results = results.collect();
                    entries.iter().for_each(|entry| self.store(entry));
                    self.replies
                        .push_back(Input::CommitDone { request, results });
                } else {
                    self.requests.push_back((request, entries));
                }
            }
            _ => {}
        }
    }

    fn take_transaction(&mut self, effect: Effect) {
        match effect {
            Effect::Transact {
                request,
                entries,
                outputs,
            } => {
                assert!(self.transactions.is_empty(), "one transaction is out (T2)");
                self.books.check_commit(&self.core, &entries);
                self.transactions.push_back((request, entries, outputs));
                if self.answers.commits {
                    self.transaction_ends(TransactionEnd::Committed);
                }
            }
            Effect::MakeProducer(ask) if self.answers.producers => {
                let result = Ok(());
                self.replies.push_back(Input::ProducerMade { ask, result });
            }
            Effect::MakeProducer(ask) => self.producers.push_back(ask),
            _ => {}
        }
    }

    /// The transaction that is out ends in this way; the core hears of it with the next reply.
    fn transaction_ends(&mut self, end: TransactionEnd) {
        let out = self.transactions.pop_front();
        let (request, entries, _) = out.expect("a transaction is out");
        if end == TransactionEnd::Committed {
            entries.iter().for_each(|entry| self.store(entry));
        }
        self.replies
            .push_back(Input::TransactionDone { request, end });
    }

    /// Answers the transaction that is out.
    pub(in super::super) fn transaction_answered(&mut self, end: TransactionEnd) {
        self.transaction_ends(end);
        while let Some(reply) = self.replies.pop_front() {
            self.input(reply);
        }
    }

    /// Answers the producer that was asked for.
    pub(in super::super) fn producer_answered(&mut self, result: Result<(), ProducerError>) {
        let ask = self
            .producers
            .pop_front()
            .expect("a producer was asked for");
        self.input(Input::ProducerMade { ask, result });
    }

    fn set_assignment(&mut self, partitions: Vec<FetchStart>, answers: bool) {
        assert_eq!(
            self.rebalancing, answers,
            "an assign that is no answer waits"
        );
        self.rebalancing = false;
        if self.books.whole {
            self.client.clear();
        }
        for start in partitions {
            let partition = start.partition;
            self.next_offset.insert(partition, start.offset);
            let before = self.client.insert(partition, start);
            assert!(before.is_none(), "{partition:?} is assigned twice");
        }
    }

    fn take_assignment(&mut self, partitions: &[PartitionId], answers: bool) {
        assert_eq!(
            self.rebalancing, answers,
            "an unassign that is no answer waits"
        );
        self.rebalancing = false;
        if self.books.whole {
            self.client.clear();
        }
        self.client
            .retain(|partition, _| !partitions.contains(partition));
        if answers {
            self.paused.retain(|paused| !partitions.contains(paused));
        }
    }

    fn committed_offsets(&self, wanted: &[(Assignment, PartitionId)]) -> Input<'static> {
        let answers = wanted
            .iter()
            .map(|(assignment, partition)| CommittedAnswer {
                assignment: *assignment,
                answer: Ok(self.broker.get(partition).cloned()),
            })
            .collect();
        let siblings = self
            .broker
            .iter()
            .filter(|(partition, _)| !wanted.iter().any(|(_, asked)| asked == *partition))
            .map(|(partition, committed)| (*partition, committed.metadata.clone()))
            .collect();
        Input::CommittedRead { answers, siblings }
    }
}
