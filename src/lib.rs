//! ackline: a Kafka consumer beside the application. This page is the guide to its code.
//!
//! A sidecar process is one member of one consumer group. It streams records to applications over gRPC,
//! takes their settlements in any order, and commits to Kafka what was acknowledged. The README says what
//! that promises, `docs/failures.md` what can go wrong.
//!
//! # Shape
//!
//! Something that decides stands in the middle and does nothing; things that do stand around it and decide
//! nothing. The core takes one [`core::Input`] and answers with [`core::Effect`]s. It has no clock, no
//! socket, no thread and no Kafka in it, so every rule is tested without a broker, over any number of
//! histories, each of them from a seed.
//!
//! ```text
//!            brokers                                                  applications
//!               ▲                                                           ▲
//!               │ librdkafka's threads                                      │ HTTP/2
//!   ┌───────────┴───────────┐      ┌─────────────────┐      ┌───────────────┴───────────────┐
//!   │ kafka   records, com- ├─────►│ runtime  engine │◄─────┤ grpc    streams, settlements, │
//!   │ mits, group, topics   │◄─────┤   one at a time │─────►│ frames                        │
//!   └───────────────────────┘      └──┬───────────▲──┘      └───────────────────────────────┘
//!                               Input │           │ Effect
//!                                  ┌──▼───────────┴──┐      ┌───────────────────────────────┐
//!                                  │ core   decides  │      │ observe  lines and metrics    │
//!                                  └─────────────────┘      │ http     probes               │
//!                                                           └───────────────────────────────┘
//! ```
//!
//! # Map
//!
//! | module | question it answers |
//! |---|---|
//! | [`core`] | what is delivered, withdrawn, committed, and when? |
//! | [`kafka`] | how is that said to librdkafka, and what does librdkafka say? |
//! | [`grpc`] | how is it said to applications, and what do they say? |
//! | [`dead_letter`] | what does a record carry to its dead-letter topic, and back? |
//! | [`fake`] | what stands in for Kafka when an application is tested? |
//! | `fixed_hash` | the hash of the tables that are never iterated |
//! | `key_hash` | the hash of record keys |
//! | [`record`] | what is a record, seen without copying it? All that the two edges share |
//! | [`runtime`] | who calls whom, and where do bytes lie meanwhile? |
//! | [`shutdown`] | in which order does the process end? |
//! | [`config`] | what was asked for, and is it possible? |
//! | [`observe`] | what does a person see? Every log line and every metric |
//! | [`http`] | is it alive, is it ready? The status page |
//! | [`k8s`] | how do pods get their sidecar? The injector |
//! | [`cli`] | which command, which exit code? The operator's commands and the demonstration live here too |
//!
//! Beside `src`: `proto/` is the contract with applications and with operators; its Rust code lies in `src/grpc/generated`,
//! so that nobody needs a protobuf compiler, and a test compares the two.
//!
//! # A record's way, and back
//!
//! 1. An application opens a stream. The engine tells the core, and the core wants to join the group
//!    ([`core::Effect::Join`]).
//! 2. The group gives partitions. Each becomes an *assignment* with a number of its own; its committed
//!    offset is read, and a *fetch* starts there. Both numbers change on one thread only, the one that pops,
//!    so that each popped record belongs to the life in which it was fetched.
//! 3. HTTP/2 has room and polls the body of the stream. That is the only thing that moves records: nobody
//!    pushes. The engine asks the core for a frame ([`core::Core::pull`]). If nothing is ready and the budget
//!    has room, it pops a batch from librdkafka, tells the core, and asks again.
//! 4. What was picked is encoded from librdkafka's messages straight into one frame. The frame is also the
//!    store of these records, should they have to come again. The batch is held for the next frames, a moment
//!    at most; popped records that must wait for longer are copied once, in wire form.
//! 5. The application settles deliveries by their ids ([`core::Core::settle`]). The window of the assignment
//!    moves its watermark; the lane lets the next record go; the frame is dropped with its last live record.
//! 6. When a commit is due, the core hands over offset and metadata of everything that changed
//!    ([`core::Effect::Commit`]); the Kafka edge checks once more that the partitions are ours. The answer is
//!    an input like any other.
//!
//! # Threads
//!
//! One thread runs everything: popping, the core, gRPC, HTTP. Nothing on it waits for a broker, and nothing
//! in it waits for an application. librdkafka has its own threads; they only fill queues and ring a bell.
//! The engine sits behind a mutex that is never contended, because the gRPC server wants its service to be
//! shareable.
//!
//! # Invariants
//!
//! Those of the whole program have ids (I-S1, I-O2, …), listed with their tests in `docs/failures.md`.
//! Modules have their own, numbered in their first lines, with the id of the rule they serve. Those that
//! shape the code:
//!
//! | rule | held by |
//! |---|---|
//! | the core does nothing and reads nothing | `tests/it/source/purity.rs` reads its sources |
//! | the core keeps its promises over any history | `tests/sim`: broker, group, client library, members and applications simulated from a seed, with an oracle that keeps books of its own; `src/core/tests.rs`: shorter histories that shrink, with a look inside |
//! | one input, then all its effects, then the next input | `runtime/engine.rs` is the only caller |
//! | offsets, frontiers, watermarks, ids and numbers are different types | [`core::ids`] |
//! | librdkafka never chooses a position | properties set last, `src/kafka/properties.rs` |
//! | memory has a formula | [`config::memory_report`]; everything that grows has a `…_MAX` |
//! | a `Config` that exists is valid | [`config`] is the only one to build it |
//! | a line and a count tell the same story | [`observe`] makes both from one event |
//! | `unsafe` stands at two edges | `src/kafka/ffi`, and `src/allocator.rs` of the program; denied elsewhere by lint |
//!
//! # Deliberately absent
//!
//! - Callbacks into librdkafka that decide. Rebalances are noted, and answered when the core has decided.
//! - Queues of records between the parts. Records are pulled, and effects are carried out in the turn that made them.
//! - A local disk. What must survive a restart stands in the group's committed offsets.
//!
//! # Ten minutes
//!
//! 1. `core/mod.rs`: the map of the core. Then [`core::input`] and [`core::effect`]: everything that can
//!    happen and everything that can follow.
//! 2. `core/window.rs`: how far may a partition commit? The heart, in 300 lines.
//! 3. `runtime/engine.rs` and `runtime/feed.rs`: the one place where it all meets.
//! 4. The first lines of `kafka/mod.rs` and `grpc/mod.rs`: what the edges guarantee.
//! 5. One scenario on real Kafka, `tests/it/real/finished.rs`.

pub mod cli;
pub mod config;
pub mod core;
pub mod dead_letter;
pub mod fake;
mod fixed_hash;
pub mod grpc;
pub mod http;
pub mod k8s;
pub mod kafka;
mod key_hash;
pub mod mutant;
pub mod observe;
pub mod record;
pub mod runtime;
pub mod shutdown;
pub mod store;
