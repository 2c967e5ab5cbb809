//! Asking which topics there are.
//!
//! # Invariants
//!
//! - Nobody waits: the question waits on a thread of its own, and its answer comes by [`Client::poll`].
//! - One question is out at a time.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use super::client::Client;
use super::error::read_error;
use crate::core::{Input, ReadError};

type Answer = Result<Vec<String>, ReadError>;

/// The question that is out, if one is.
#[derive(Default)]
pub(super) struct Finder {
    answer: Option<Receiver<Answer>>,
}

impl Client {
    /// Asks for the names of all topics; answered by [`Input::TopicsFound`].
    pub fn find_topics(&mut self) {
        if self.finder.answer.is_some() {
            return;
        }
        let (sender, receiver) = channel();
        self.finder.answer = Some(receiver);
        let (handle, wake) = (Arc::clone(&self.handle), Arc::clone(&self.wake));
        let asked = thread::Builder::new()
            .name("kafka-topics".to_owned())
            .spawn(move || {
                // Nobody listens any more if the client was replaced meanwhile.
                let _ = sender.send(handle.topic_names().map_err(read_error));
                // The client may be gone by now, and its handle with this thread.
                drop(handle);
                wake();
            });
        // Without a thread the sender is gone, which is an answer too.
        if let Err(error) = asked {
            tracing::debug!(%error, "no thread to ask for topics");
            (self.wake)();
        }
    }

    /// Tells the answer, once it is there.
    pub(super) fn tell_topics(&mut self, inputs: &mut Vec<Input<'static>>) {
        let Some(receiver) = &self.finder.answer else {
            return;
        };
        let answer = match receiver.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => Err(ReadError::Transient(
                "there was no thread to ask".to_owned(),
            )),
        };
        self.finder.answer = None;
        inputs.push(Input::TopicsFound { answer });
    }
}
