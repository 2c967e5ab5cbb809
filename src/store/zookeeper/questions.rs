//! What is asked of one connection, in ZooKeeper's terms.
//!
//! # Invariants
//!
//! - Z2: a claim changes the claim's node, and so its version, in one step; what a claim returns was read after that, on the
//!   connection that said so, and is therefore at least as new (S1).
//! - Z3: a write is one transaction: the claim still has the version of our claim, what stands beside the offset still has
//!   the version that we know, and both are changed.
//!
//! The second condition of Z3 is against ourselves: a write that got no answer may lie in a server's queue, and would be
//! applied after the one that repeats it or follows it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Claim, Place, Position, StoreError, Write};
use super::connection::Connection;
use super::layout::{self, Layout};
use super::wire::{ANY_VERSION, Access, Answer, Code, Malformed, Request, Step};

/// Partitions that are claimed in one transaction: few enough for the longest names and the size that servers allow.
const CLAIMED_AT_ONCE_MAX: usize = 128;
/// How often a write is asked again because what is known of its nodes was wrong.
const ROUNDS_MAX: usize = 5;

/// What we know of the nodes of a partition; wrong at worst, which a server says.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    /// Version of what stands beside the offset.
    version: i32,
    /// Whether there is an offset.
    has_offset: bool,
}

/// What is stored of a partition.
struct Read {
    position: Option<Position>,
    /// Version of what stands beside the offset, if there is such a node.
    version: Option<i32>,
}

/// What is known of each partition.
pub(super) type KnownOf = BTreeMap<Place, Known>;

/// See the module.
pub(super) struct Questions<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) layout: &'a Layout,
    pub(super) known: &'a mut KnownOf,
    /// Who may use the nodes that we make.
    pub(super) access: Access,
    /// What is before every path; for people.
    pub(super) root: &'a str,
    pub(super) claimed_by: &'a str,
}

impl Questions<'_> {
    /// Claims partitions and reads what is stored of them.
    pub(super) async fn claim(&mut self, places: &[Place]) -> Result<Vec<Claim>, StoreError> {
        let mut fences = Vec::new();
        for places in places.chunks(CLAIMED_AT_ONCE_MAX) {
            fences.extend(self.raise(places).await?);
        }
        let mut claims = Vec::new();
        for ((place, fence), read) in places.iter().zip(fences).zip(self.read(places).await?) {
            let known = Known {
                version: read
                    .version
                    .ok_or_else(|| failure(Code::NoNode, &self.layout.position(place)))?,
                has_offset: read.position.is_some(),
            };
            self.known.insert(place.clone(), known);
            claims.push(Claim {
                place: place.clone(),
                fence: i64::from(fence),
                position: read.position,
            });
        }
        Ok(claims)
    }

    /// What is stored of these.
    async fn read(&mut self, places: &[Place]) -> Result<Vec<Read>, StoreError> {
        let paths = places
            .iter()
            .flat_map(|place| [self.layout.offset(place), self.layout.position(place)]);
        let requests: Vec<Request> = paths.map(|path| Request::Data { path }).collect();
        let answers = self.connection.ask(&requests).await?;
        let mut reads = Vec::new();
        for (requests, answers) in requests.chunks(2).zip(answers.chunks(2)) {
            let ([of_offset, of_position], [offset, position]) = (requests, answers) else {
                continue;
            };
            let (offset_path, position_path) = (of_offset.path(), of_position.path());
            let beside = self.data(position, position_path)?;
            let mut read = Read {
                position: None,
                version: beside.map(|(_, version)| version),
            };
            if let Some((digits, _)) = self.data(offset, offset_path)? {
                let offset = layout::read_offset(digits);
                let offset = offset.map_err(|fault| unreadable(offset_path, fault))?;
                let beside = beside.map_or(&[][..], |(beside, _)| beside);
                let position = layout::read_position(offset, beside);
                read.position = Some(position.map_err(|fault| unreadable(position_path, fault))?);
            }
            reads.push(read);
        }
        Ok(reads)
    }

    /// Raises the fence of each; all of them or none.
    async fn raise(&mut self, places: &[Place]) -> Result<Vec<i32>, StoreError> {
        let steps = places.iter().flat_map(|place| {
            let claimed = Step::Set {
                path: self.layout.claim(place),
                data: layout::claimed(self.claimed_by),
                version: ANY_VERSION,
            };
            // What a write will need is there as well.
            let position = Step::Check {
                path: self.layout.position(place),
                version: ANY_VERSION,
            };
            [claimed, position]
        });
        let request = [Request::Transaction(steps.collect())];
        let raised = match self.transactions(&request).await?.pop() {
            Some(Err((_, Code::NoNode))) => {
                self.make_nodes(places).await?;
                self.transactions(&request).await?.pop()
            }
            raised => raised,
        };
        match raised {
            Some(Ok(versions)) => Ok(versions.into_iter().step_by(2).collect()),
            Some(Err((at, code))) => Err(failure(code, step_path(&request[0], at))),
            None => Err(self.connection.nonsense()),
        }
    }

    /// The metadata of everything that is stored of these topics.
    pub(super) async fn metadata(
        &mut self,
        topics: &[String],
    ) -> Result<Vec<(Place, String)>, StoreError> {
        self.catch_up().await?;
        let places = self.places(topics).await?;
        let reads = places.iter().map(|place| self.layout.position(place));
        let reads: Vec<Request> = reads.map(|path| Request::Data { path }).collect();
        let answers = self.connection.ask(&reads).await?;
        let mut stored = Vec::new();
        for ((place, request), answer) in places.into_iter().zip(&reads).zip(&answers) {
            let Some((beside, _)) = self.data(answer, request.path())? else {
                continue;
            };
            let metadata = layout::read_metadata(beside);
            let metadata = metadata.map_err(|fault| unreadable(request.path(), fault))?;
            stored.extend(metadata.map(|metadata| (place, metadata)));
        }
        Ok(stored)
    }

    /// Everything that is stored of the group.
    pub(super) async fn positions(&mut self) -> Result<Vec<(Place, Position)>, StoreError> {
        self.catch_up().await?;
        let path = self.layout.all_offsets();
        let request = [Request::Children { path }];
        let answers = self.connection.ask(&request).await?;
        let mut topics = Vec::new();
        for answer in &answers {
            topics = self.children(answer, request[0].path())?;
        }
        topics.sort();
        let mut places = self.places(&topics).await?;
        places.sort();
        let reads = self.read(&places).await?;
        let stored = places.into_iter().zip(reads);
        Ok(stored
            .filter_map(|(place, read)| Some((place, read.position?)))
            .collect())
    }

    /// The server may be behind others, and where nothing was written before there is nothing that it would have to know.
    async fn catch_up(&mut self) -> Result<(), StoreError> {
        let path = self.layout.all_offsets();
        self.connection.ask(&[Request::Sync { path }]).await?;
        Ok(())
    }

    /// Where something is stored of these topics.
    async fn places(&mut self, topics: &[String]) -> Result<Vec<Place>, StoreError> {
        let lists = topics.iter().map(|topic| self.layout.offsets(topic));
        let lists: Vec<Request> = lists.map(|path| Request::Children { path }).collect();
        let answers = self.connection.ask(&lists).await?;
        let mut places = Vec::new();
        for ((topic, request), answer) in topics.iter().zip(&lists).zip(&answers) {
            // What has another name is nobody's offset.
            let names = self.children(answer, request.path())?;
            places.extend(names.iter().filter_map(|name| {
                Some(Place {
                    topic: topic.clone(),
                    partition: name.parse().ok()?,
                })
            }));
        }
        Ok(places)
    }

    /// Stores positions. Returns the places of those that were applied.
    pub(super) async fn write(&mut self, writes: &[Write]) -> Result<Vec<Place>, StoreError> {
        let (mut written, mut waiting) = (Vec::new(), Vec::from_iter(writes));
        for _ in 0..ROUNDS_MAX {
            let requests = waiting.iter().map(|write| {
                let known = self.known.get(&write.place).copied().unwrap_or_default();
                self.transaction(write, known)
            });
            let requests: Vec<Request> = requests.collect::<Result<_, _>>()?;
            let results = self.transactions(&requests).await?;
            let (mut again, mut changed, mut removed) = (Vec::new(), Vec::new(), Vec::new());
            for ((write, result), request) in waiting.into_iter().zip(results).zip(&requests) {
                let place = &write.place;
                let known = self.known.entry(place.clone()).or_default();
                match result {
                    Ok(versions) => {
                        known.version = versions.get(1).copied().unwrap_or_default();
                        known.has_offset = true;
                        written.push(place.clone());
                        continue;
                    }
                    // Somebody has claimed it, or has removed all of it, which ends claims as well.
                    Err((0, Code::BadVersion | Code::NoNode) | (1, Code::NoNode)) => continue,
                    Err((1, Code::BadVersion)) => changed.push(place.clone()),
                    Err((2, Code::NoNode)) if known.has_offset => known.has_offset = false,
                    Err((2, Code::NoNode)) => removed.push(place.clone()),
                    Err((2, Code::NodeExists)) => known.has_offset = true,
                    Err((at, code)) => return Err(failure(code, step_path(request, at))),
                }
                again.push(write);
            }
            if again.is_empty() {
                return Ok(written);
            }
            self.learn_versions(&changed).await?;
            self.make_nodes(&removed).await?;
            waiting = again;
        }
        Err(StoreError::Away(
            "nodes change again and again while they are written".to_owned(),
        ))
    }

    fn transaction(&self, write: &Write, known: Known) -> Result<Request, StoreError> {
        let path = self.layout.offset(&write.place);
        let data = layout::digits(write.position.offset);
        let offset = if known.has_offset {
            // Old tools change it as well, and do not ask us.
            let version = ANY_VERSION;
            Step::Set {
                path,
                data,
                version,
            }
        } else {
            let access = self.access;
            Step::Create { path, data, access }
        };
        let claim = self.layout.claim(&write.place);
        let fence = i32::try_from(write.fence);
        let steps = vec![
            Step::Check {
                // Versions are numbers of this size.
                version: fence.map_err(|_| failure(Code::BadVersion, &claim))?,
                path: claim,
            },
            Step::Set {
                path: self.layout.position(&write.place),
                data: layout::beside(&write.position),
                version: known.version,
            },
            offset,
        ];
        Ok(Request::Transaction(steps))
    }

    /// Looks how far our own writes have come.
    async fn learn_versions(&mut self, places: &[Place]) -> Result<(), StoreError> {
        let reads = places.iter().map(|place| self.layout.position(place));
        let reads: Vec<Request> = reads.map(|path| Request::Data { path }).collect();
        let answers = self.connection.ask(&reads).await?;
        for ((place, request), answer) in places.iter().zip(&reads).zip(&answers) {
            if let Some((_, version)) = self.data(answer, request.path())? {
                self.known.entry(place.clone()).or_default().version = version;
            }
        }
        Ok(())
    }

    /// Makes the nodes that claims and writes need, as far as they are not there.
    async fn make_nodes(&mut self, places: &[Place]) -> Result<(), StoreError> {
        let paths = places.iter().flat_map(|place| self.layout.needed(place));
        // What holds another stands before it in this order too.
        let paths = BTreeSet::from_iter(paths);
        let requests = paths.into_iter().map(|path| {
            let is_of_all = path.matches('/').count() == 1;
            let access = if is_of_all {
                Access::Anyone
            } else {
                self.access
            };
            Request::Create { path, access }
        });
        let requests: Vec<Request> = requests.collect();
        let answers = self.connection.ask(&requests).await?;
        let results = requests.iter().zip(&answers);
        let results = results.map(|(request, answer)| (request.path(), answer.error()));
        let results: BTreeMap<&str, Option<Code>> = results.collect();
        let is_there = |place: &Place| {
            let nodes = [
                self.layout.position(place),
                self.layout.offsets(&place.topic),
            ];
            nodes.iter().all(|path| {
                matches!(
                    results.get(path.as_str()),
                    Some(None | Some(Code::NodeExists))
                )
            })
        };
        // Whether we may not make a node or it is there is not told apart; what lies in it tells.
        if places.iter().all(is_there) {
            return Ok(());
        }
        let to_blame = results.iter().find_map(|(path, error)| {
            let code = error.filter(|code| *code != Code::NodeExists)?;
            Some(if code == Code::NoNode {
                StoreError::Refused(format!(
                    "there is no node {}: make it, or correct the end of offset_store.zookeeper.servers",
                    self.root
                ))
            } else {
                failure(code, path)
            })
        });
        to_blame.map_or(Ok(()), Err)
    }

    /// The result of each transaction: versions after its steps, or the step that was refused.
    async fn transactions(
        &mut self,
        requests: &[Request],
    ) -> Result<Vec<Result<Vec<i32>, (usize, Code)>>, StoreError> {
        let answers = self.connection.ask(requests).await?;
        let results = requests.iter().zip(&answers).map(|(request, answer)| {
            if let Some(code) = answer.error() {
                return Err(failure(code, request.path()));
            }
            let steps = match request {
                Request::Transaction(steps) => steps.len(),
                Request::Create { .. }
                | Request::Data { .. }
                | Request::Children { .. }
                | Request::Sync { .. } => 0,
            };
            match answer.steps() {
                Ok(Ok(versions)) if versions.len() != steps => Err(self.connection.nonsense()),
                Ok(result) => Ok(result),
                Err(Malformed) => Err(self.connection.nonsense()),
            }
        });
        results.collect()
    }

    /// Data and version, or that there is no such node.
    fn data<'a>(
        &self,
        answer: &'a Answer,
        path: &str,
    ) -> Result<Option<(&'a [u8], i32)>, StoreError> {
        match answer.error() {
            None => {
                let data = answer.data();
                data.map(Some).map_err(|_| self.connection.nonsense())
            }
            Some(Code::NoNode) => Ok(None),
            Some(code) => Err(failure(code, path)),
        }
    }

    /// Names of what is in a node.
    fn children(&self, answer: &Answer, path: &str) -> Result<Vec<String>, StoreError> {
        match answer.error() {
            None => answer.children().map_err(|_| self.connection.nonsense()),
            Some(Code::NoNode) => Ok(Vec::new()),
            Some(code) => Err(failure(code, path)),
        }
    }
}

fn step_path(request: &Request, at: usize) -> &str {
    match request {
        Request::Transaction(steps) => steps.get(at).map_or("/", Step::path),
        Request::Create { .. }
        | Request::Data { .. }
        | Request::Children { .. }
        | Request::Sync { .. } => request.path(),
    }
}

/// What an error means: whether trying again may help without anybody doing something.
fn failure(code: Code, path: &str) -> StoreError {
    match code {
        Code::NotAllowed => StoreError::Refused(format!(
            "not allowed to use {path}: its access list does not name this user, or the password is another one"
        )),
        Code::NoNode => StoreError::Away(format!("{path} was removed")),
        Code::NodeExists => StoreError::Away(format!("{path} exists already")),
        Code::BadVersion => StoreError::Away(format!("{path} was changed")),
        Code::Other(number) => StoreError::Away(format!("{path}: error {number}")),
    }
}

fn unreadable(path: &str, fault: &str) -> StoreError {
    StoreError::Refused(format!("{path} {fault}: correct it, or remove it"))
}
