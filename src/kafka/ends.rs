//! How far the logs go, as the client last heard.

use std::sync::Arc;

use super::client::Client;
use crate::core::Input;

impl Client {
    /// Tells the end of each fetched log, as the last fetch response gave it: under `read_committed` the
    /// last stable offset. Costs no request.
    pub fn sample_ends(&mut self, inputs: &mut Vec<Input<'static>>) {
        let handle = Arc::clone(&self.handle);
        for (id, fetching) in &self.assigned {
            let topic = self.topics.name(id.topic);
            if let Some(end) = handle.cached_end(topic, id.partition) {
                inputs.push(Input::EndSampled {
                    partition: *id,
                    fetch: fetching.fetch,
                    end,
                });
            }
        }
    }
}
