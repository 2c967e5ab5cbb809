//! What a group has committed, and who is in it.

use super::{LogReader, ReadFailure};
use crate::core::LeaderEpoch;
use crate::kafka::ffi::Partitions;

/// What a group has committed of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedPosition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
    /// Leader epoch of the last record below it.
    pub leader_epoch: LeaderEpoch,
    /// The text beside it; empty for none.
    pub metadata: String,
}

impl LogReader {
    /// The names that the group gave to its members.
    ///
    /// # Errors
    ///
    /// If no broker says.
    pub fn members(&mut self) -> Result<Vec<String>, ReadFailure> {
        self.patiently(Self::read_members)
    }

    fn read_members(&mut self) -> Result<Vec<String>, ReadFailure> {
        const WHAT: &str = "ask who is in the group";
        let request = self.request();
        let asked = self
            .handle
            .describe_group(&self.group, &self.replies, request);
        asked.map_err(|failure| self.failed(WHAT, "", failure))?;
        let event = self.reply(request);
        let group = event.group();
        let group = group.map_err(|failure| self.failed(WHAT, "", failure))?;
        let members = group.into_iter().flat_map(|group| group.members);
        let names = members.map(|member| member.id.to_string_lossy().into_owned());
        Ok(names.collect())
    }

    /// Everything that the group has committed, by topic and partition.
    ///
    /// # Errors
    ///
    /// If no broker says.
    pub fn committed(&mut self) -> Result<Vec<CommittedPosition>, ReadFailure> {
        self.patiently(Self::read_committed)
    }

    fn read_committed(&mut self) -> Result<Vec<CommittedPosition>, ReadFailure> {
        const WHAT: &str = "read what the group has committed";
        let request = self.request();
        let asked = self
            .handle
            .read_committed(&self.group, None, &self.replies, request);
        asked.map_err(|failure| self.failed(WHAT, "", failure))?;
        let event = self.reply(request);
        let views = event.committed();
        let views = views.map_err(|failure| self.failed(WHAT, "", failure))?;
        let mut committed = Vec::with_capacity(views.len());
        for view in views {
            let topic = view.topic().to_string_lossy().into_owned();
            let checked = view.code().check();
            checked.map_err(|failure| self.failed(WHAT, &topic, failure))?;
            if view.offset() >= 0 {
                committed.push(CommittedPosition {
                    topic,
                    partition: view.partition(),
                    offset: view.offset(),
                    leader_epoch: view.leader_epoch(),
                    metadata: String::from_utf8_lossy(view.metadata()).into_owned(),
                });
            }
        }
        committed.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(committed)
    }

    /// Commits for the group. Brokers refuse it while the group has members.
    ///
    /// # Errors
    ///
    /// If a broker does not take one of them.
    pub fn commit_positions(&mut self, positions: &[CommittedPosition]) -> Result<(), ReadFailure> {
        if positions.is_empty() {
            return Ok(());
        }
        self.patiently(|it| {
            let mut list = Partitions::with_capacity(positions.len());
            for position in positions {
                let name = it.name(&position.topic)?;
                let element = list.add(&name, position.partition);
                let element = element
                    .offset(position.offset)
                    .leader_epoch(position.leader_epoch);
                element.metadata(&position.metadata);
            }
            it.commit_list(&list, "commit for the group", "")
        })
    }
}
