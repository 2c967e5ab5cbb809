//! What a call or a message says of deliveries, and what it brings along for them.

use super::call_error::CallError;
use super::{Sidecar, Terms, proto, validate};
use crate::core::SettleRequest;
use crate::record::Output;

/// See the module. All of it is valid.
pub(super) struct Said {
    request: SettleRequest,
    /// Of each settlement.
    outputs: Vec<Vec<Output>>,
}

impl Said {
    pub(super) fn read(
        settlements: &[proto::Settlement],
        extends: &[proto::Extend],
        terms: &Terms,
    ) -> Result<Self, CallError> {
        let mut all = settlements.iter();
        if !terms.transactional && all.any(|settlement| !settlement.outputs.is_empty()) {
            return Err(CallError::NotTransactional);
        }
        let valid = |settlement| validate::settlement(settlement, terms);
        let settled = settlements.iter().map(valid);
        let request = SettleRequest {
            settlements: settled.collect::<Result<_, _>>()?,
            extends: extends
                .iter()
                .map(validate::extend)
                .collect::<Result<_, _>>()?,
            wait: None,
        };
        let outputs = settlements.iter().map(validate::outputs);
        let outputs = outputs.collect::<Result<_, _>>()?;
        Ok(Self { request, outputs })
    }

    pub(super) fn brings_outputs(&self) -> bool {
        self.outputs.iter().any(|outputs| !outputs.is_empty())
    }

    /// What is to be settled, at once: its outputs are kept by the sidecar from here on.
    pub(super) fn kept(self, sidecar: &impl Sidecar) -> SettleRequest {
        let Self {
            mut request,
            outputs,
        } = self;
        for (settlement, outputs) in request.settlements.iter_mut().zip(outputs) {
            settlement.outputs = (!outputs.is_empty()).then(|| sidecar.keep_outputs(outputs));
        }
        request
    }
}
