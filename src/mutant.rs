//! Known bugs, planted on purpose.
//!
//! Each is a bug that a relative of ours has shipped, or a hole that the design names. With the cargo
//! feature `mutants` one of them can be planted at run time; `tests/mutants` plants each in turn and demands
//! that the simulation notices. Without the feature every question is answered "no" at compile time.

/// What can be planted: its name, and what it does.
pub const MUTANTS: [(&str, &str); 44] = [
    (
        "M1",
        "commits the highest offset seen, not the lowest unfinished",
    ),
    (
        "M2",
        "drops the first record of a partition that came back, as if its old state were still there",
    ),
    ("M3", "leaves deliveries alive after their assignment ended"),
    (
        "M4",
        "gives a partition back without committing what was finished while draining",
    ),
    (
        "M5",
        "sweeps on a revocation by partition number, whatever the topic",
    ),
    (
        "M6",
        "takes the committed offset as finished when its metadata is unreadable",
    ),
    (
        "M7",
        "believes metadata whose checksum is wrong, and so its forged runs",
    ),
    (
        "M8",
        "reads finished runs behind a gap one offset too early",
    ),
    ("M9", "takes records without a key for records of one key"),
    (
        "M10",
        "fetches on while as many records are unfinished as a partition may have",
    ),
    (
        "M11",
        "takes back the deliveries of all partitions when some are revoked",
    ),
    (
        "M12",
        "takes a failed read of the committed offset for `no offset`",
    ),
    (
        "M13",
        "forgets that a commit is due after the group refused it",
    ),
    (
        "M14",
        "waits at its end for as long as the last commit fails",
    ),
    ("M15", "accepts stale ids"),
    (
        "M16",
        "commits behind the newest finished record, over open gaps",
    ),
    (
        "M17",
        "lets a record that failed come again beside its lane",
    ),
    (
        "M18",
        "takes a dead letter for written before the topic has it",
    ),
    ("M19", "forgets the bytes of a record that comes back"),
    (
        "M20",
        "lets the group wait for as long as the application works",
    ),
    (
        "claim-overtaken",
        "goes on with a partition that somebody else has claimed from the offset store",
    ),
    (
        "home-forgets",
        "forgets how often records failed when the stream that a partition was at home with ends",
    ),
    (
        "home-is-anywhere",
        "delivers a partition whose position an application keeps to every stream",
    ),
    (
        "second-answer-wins",
        "starts a partition where the first application says, and gives it to the second",
    ),
    (
        "position-sampled-late",
        "believes the client's position after it told an error",
    ),
    (
        "newer-assignment-tag",
        "takes records of an older fetch in as if they were the living one's",
    ),
    (
        "paused-is-delivered",
        "delivers what an operator has paused",
    ),
    (
        "window-counted-as-span",
        "counts offsets instead of unfinished records against the window",
    ),
    (
        "marks-without-room",
        "fetches on while what is finished may come to need more room than a commit has",
    ),
    (
        "suspect-among-others",
        "delivers a suspect that was held at two deaths like any other record",
    ),
    (
        "newcomer-is-trusted",
        "fills a stream that is opened after a death before it has settled anything",
    ),
    (
        "found-topic-by-policy",
        "reads a topic that came into being while we looked from where `start` says",
    ),
    (
        "outputs-uncovered",
        "writes what was returned for records that the transaction does not commit",
    ),
    (
        "outputs-split",
        "writes what was returned for records of two partitions when it commits one of them",
    ),
    (
        "outputs-again",
        "writes what is returned with an acknowledgement that is repeated",
    ),
    (
        "outputs-in-part",
        "takes what is returned with an acknowledgement of which part is refused",
    ),
    (
        "outputs-dropped-on-revoke",
        "commits what was finished of a partition that leaves, without what was returned for it",
    ),
    (
        "orphans-go-on",
        "goes on with a partition that shared outputs with one that was lost",
    ),
    (
        "unknown-is-committed",
        "takes a transaction whose end is not known for committed",
    ),
    (
        "unknown-is-aborted",
        "takes a transaction whose end is not known for aborted, and goes on with its producer",
    ),
    (
        "read-unsettled",
        "reads where to begin again before the transaction whose end is not known is settled",
    ),
    (
        "abort-keeps-finished",
        "takes what was acknowledged for finished though its transaction was aborted",
    ),
    (
        "failures-forgotten",
        "forgets how often records failed when everything begins again",
    ),
    (
        "questions-outlive-client",
        "waits for answers to what was asked of a client that was replaced",
    ),
];

#[cfg(feature = "mutants")]
mod planting {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::MUTANTS;

    static PLANTED: AtomicUsize = AtomicUsize::new(usize::MAX);

    /// Plants the mutant at this place of [`MUTANTS`], or none.
    pub fn plant(index: Option<usize>) {
        PLANTED.store(index.unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    pub(crate) fn planted(name: &str) -> bool {
        MUTANTS
            .get(PLANTED.load(Ordering::Relaxed))
            .is_some_and(|(planted, _)| *planted == name)
    }
}

#[cfg(feature = "mutants")]
pub use planting::plant;
#[cfg(feature = "mutants")]
pub(crate) use planting::planted;

/// Whether a mutant is planted: never, in a build that is meant for use.
#[cfg(not(feature = "mutants"))]
pub(crate) const fn planted(_name: &str) -> bool {
    false
}
