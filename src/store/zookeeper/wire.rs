//! The few messages of ZooKeeper's protocol that positions need, as bytes.
//!
//! A frame is its length and what it holds; a request begins with a number of its own and its kind, an answer with that
//! number, the last transaction that the server has seen, and an error. Numbers are big-endian, text and data have their
//! length before them.
//!
//! # Invariants
//!
//! - Z1: bytes of a server are read or refused; they make no panic, and nothing is reserved for what they only announce.
//!
//! # Deliberately absent
//!
//! Watches, ephemeral nodes, and so pings: nothing is bound to a session. What the state of a node holds beside its version.

/// The largest answer: what servers and clients take for sane unless told otherwise is a quarter of it.
pub(super) const FRAME_BYTES_MAX: usize = 4 << 20;

/// Number of the message that says who we are.
const AUTH_ID: i32 = -4;
/// Any version, and there must be such a node.
pub(super) const ANY_VERSION: i32 = -1;

/// Kinds of requests.
const CREATE: i32 = 1;
const GET_DATA: i32 = 4;
const SET_DATA: i32 = 5;
const GET_CHILDREN: i32 = 8;
const SYNC: i32 = 9;
const CHECK: i32 = 13;
const MULTI: i32 = 14;
const AUTH: i32 = 100;
const FAILED: i32 = -1;

/// What a server answers instead of what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// There is no such node.
    NoNode,
    /// There is one already.
    NodeExists,
    /// It has another version.
    BadVersion,
    /// Nobody that we are may do that.
    NotAllowed,
    /// Anything else, by its number.
    Other(i32),
}

impl Code {
    fn of(number: i32) -> Self {
        match number {
            -101 => Self::NoNode,
            -103 => Self::BadVersion,
            -110 => Self::NodeExists,
            // Not authorised, an access list that is not accepted, authentication failed or demanded.
            -102 | -114 | -115 | -124 => Self::NotAllowed,
            other => Self::Other(other),
        }
    }
}

/// Bytes that are no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Who may use a node that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody.
    Anyone,
    /// Who makes it.
    Creator,
}

/// A step of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing is done unless the node has this version.
    Check { path: String, version: i32 },
    /// Makes a node.
    Create {
        path: String,
        data: Vec<u8>,
        access: Access,
    },
    /// Changes a node that has this version.
    Set {
        path: String,
        data: Vec<u8>,
        version: i32,
    },
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// Makes a node without data.
    Create { path: String, access: Access },
    /// Data and version of a node.
    Data { path: String },
    /// Names of the nodes in a node.
    Children { path: String },
    /// What follows sees whatever was answered to anybody before.
    Sync { path: String },
    /// All of it or nothing.
    Transaction(Vec<Step>),
}

impl Request {
    /// The node that it is about, for people.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Create { path, .. }
            | Self::Data { path }
            | Self::Children { path }
            | Self::Sync { path } => path,
            Self::Transaction(steps) => steps.first().map_or("/", Step::path),
        }
    }

    /// The frame, with every path below `root`.
    pub(super) fn frame(&self, id: i32, root: &str) -> Vec<u8> {
        let mut frame = Frame::default();
        frame.number(id);
        match self {
            Self::Create { path, access } => {
                frame.number(CREATE);
                frame.create(root, path, &[], *access);
            }
            Self::Data { path } => frame.number(GET_DATA).path(root, path).switch(false),
            Self::Children { path } => frame.number(GET_CHILDREN).path(root, path).switch(false),
            Self::Sync { path } => {
                frame.number(SYNC).path(root, path);
            }
            Self::Transaction(steps) => {
                frame.number(MULTI);
                for step in steps {
                    frame.step(root, step);
                }
                frame.number(FAILED).switch(true);
                frame.number(FAILED);
            }
        }
        frame.done()
    }
}

impl Step {
    /// The node that it is about.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Check { path, .. } | Self::Create { path, .. } | Self::Set { path, .. } => path,
        }
    }
}

/// Asks for a session that is kept for so long after the last word.
pub(super) fn open_session(timeout_ms: i32) -> Vec<u8> {
    let mut frame = Frame::default();
    // Version of the protocol, last transaction seen, and no session to go on with.
    frame.number(0).long(0).number(timeout_ms).long(0);
    frame.data(&[0; 16]).switch(false);
    frame.done()
}

/// Says who we are: user name and password.
pub(super) fn authenticate(user: &str, password: &str) -> Vec<u8> {
    let mut frame = Frame::default();
    frame.number(AUTH_ID).number(AUTH).number(0);
    frame
        .data(b"digest")
        .data(format!("{user}:{password}").as_bytes());
    frame.done()
}

/// Whether a session was opened.
pub(super) fn session_opened(frame: &[u8]) -> Result<bool, Malformed> {
    let mut reader = Reader(frame);
    let (_version, timeout_ms) = (reader.number()?, reader.number()?);
    Ok(timeout_ms > 0)
}

/// An answer: what was asked for, or why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    id: i32,
    error: Option<Code>,
    body: Vec<u8>,
}

impl Answer {
    /// Reads the frame of an answer.
    pub(super) fn read(frame: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(frame);
        let id = reader.number()?;
        reader.long()?;
        let error = reader.number()?;
        Ok(Self {
            id,
            error: (error != 0).then(|| Code::of(error)),
            body: reader.0.to_vec(),
        })
    }

    /// Whether it answers the request of this number.
    pub(super) fn is_to(&self, id: i32) -> bool {
        self.id == id
    }

    /// Whether it answers [`authenticate`].
    pub(super) fn is_to_authentication(&self) -> bool {
        self.id == AUTH_ID
    }

    /// Why not, if not.
    pub(super) fn error(&self) -> Option<Code> {
        self.error
    }

    /// Data and version of a node.
    pub(super) fn data(&self) -> Result<(&[u8], i32), Malformed> {
        let mut reader = Reader(&self.body);
        let data = reader.data()?;
        Ok((data, reader.version()?))
    }

    /// Names of the nodes in a node.
    pub(super) fn children(&self) -> Result<Vec<String>, Malformed> {
        let mut reader = Reader(&self.body);
        let count = reader.number()?;
        (0..count).map(|_| reader.text()).collect()
    }

    /// Versions after each step of a transaction, 0 where there is none; or the first step that was refused, and why.
    pub(super) fn steps(&self) -> Result<Result<Vec<i32>, (usize, Code)>, Malformed> {
        let mut reader = Reader(&self.body);
        let (mut versions, mut refused) = (Vec::new(), None);
        loop {
            let (kind, done) = (reader.number()?, reader.switch()?);
            reader.number()?;
            if done {
                return Ok(refused.map_or(Ok(versions), Err));
            }
            match kind {
                CHECK => versions.push(0),
                CREATE => {
                    reader.data()?;
                    versions.push(0);
                }
                SET_DATA => versions.push(reader.version()?),
                FAILED => {
                    // A step that would have been done says 0, and one behind the refused step that it came too late.
                    let error = reader.number()?;
                    if error != 0 && refused.is_none() {
                        refused = Some((versions.len(), Code::of(error)));
                    }
                    versions.push(0);
                }
                _ => return Err(Malformed),
            }
        }
    }
}

/// A frame that is being written.
#[derive(Default)]
struct Frame(Vec<u8>);

impl Frame {
    fn number(&mut self, number: i32) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn long(&mut self, number: i64) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn switch(&mut self, on: bool) {
        self.0.push(u8::from(on));
    }

    /// What is written is far shorter than the longest that can be said.
    fn length(length: usize) -> i32 {
        i32::try_from(length).unwrap_or(i32::MAX)
    }

    fn data(&mut self, data: &[u8]) -> &mut Self {
        self.number(Self::length(data.len()));
        self.0.extend(data);
        self
    }

    fn path(&mut self, root: &str, path: &str) -> &mut Self {
        self.data(format!("{root}{path}").as_bytes())
    }

    fn create(&mut self, root: &str, path: &str, data: &[u8], access: Access) {
        const ALL_RIGHTS: i32 = 31;
        const PERSISTENT: i32 = 0;
        let (scheme, id) = match access {
            Access::Anyone => ("world", "anyone"),
            Access::Creator => ("auth", ""),
        };
        self.path(root, path).data(data).number(1);
        self.number(ALL_RIGHTS);
        self.data(scheme.as_bytes()).data(id.as_bytes());
        self.number(PERSISTENT);
    }

    fn step(&mut self, root: &str, step: &Step) {
        let kind = match step {
            Step::Check { .. } => CHECK,
            Step::Create { .. } => CREATE,
            Step::Set { .. } => SET_DATA,
        };
        self.number(kind).switch(false);
        self.number(FAILED);
        match step {
            Step::Check { path, version } => {
                self.path(root, path).number(*version);
            }
            Step::Create { path, data, access } => self.create(root, path, data, *access),
            Step::Set {
                path,
                data,
                version,
            } => {
                self.path(root, path).data(data).number(*version);
            }
        }
    }

    fn done(&self) -> Vec<u8> {
        let mut whole = Self::length(self.0.len()).to_be_bytes().to_vec();
        whole.extend(&self.0);
        whole
    }
}

/// Bytes that are being read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<i32, Malformed> {
        self.take().map(i32::from_be_bytes)
    }

    fn long(&mut self) -> Result<i64, Malformed> {
        self.take().map(i64::from_be_bytes)
    }

    fn switch(&mut self) -> Result<bool, Malformed> {
        self.take().map(|[byte]| byte != 0)
    }

    /// No data, which is said by a length of -1, is as good as empty.
    fn data(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.number()?;
        if length == -1 {
            return Ok(&[]);
        }
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let (data, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(data)
    }

    fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.data()?.to_vec()).map_err(|_| Malformed)
    }

    /// Reads the state of a node; returns the version of its data.
    fn version(&mut self) -> Result<i32, Malformed> {
        // Transactions and times of its making and its last change.
        self.take::<32>()?;
        let version = self.number()?;
        // Two other versions, owner, lengths, last change of its children.
        self.take::<32>()?;
        Ok(version)
    }
}

#[cfg(test)]
mod tests;
