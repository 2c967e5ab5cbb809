//! Copying, and what is said of it.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::options::Request;
use crate::cli::dead_letters::{Format, explained};
use crate::cli::terminal::{safe, table};
use crate::kafka::{Bell, CommittedPosition, LogReader};
use crate::runtime::{client_settings, offset_store, one_thread};
use crate::store::{OffsetStore, Place, Position, StoreError, Write};

/// What was copied, or would be.
pub(super) struct Report {
    /// For standard output.
    pub(super) text: String,
    /// One line for people.
    pub(super) note: String,
}

/// Positions by partition.
type Positions = BTreeMap<Place, Position>;

pub(super) fn copy(request: &Request) -> anyhow::Result<Report> {
    let settings = client_settings(&request.config)?;
    let group = &request.config.group.id;
    let mut kafka = LogReader::new(&settings, group, &Bell::default())
        .context("cannot connect with these settings")?;
    let mut store = offset_store(&request.config).context("these settings name no store")?;
    let runtime = one_thread()?;
    refuse_members(
        &mut kafka,
        group,
        "stop them (scale them to zero), and copy then",
    )?;
    let in_kafka = of_kafka(&mut kafka)?;
    let stored = runtime
        .block_on(store.positions())
        .map_err(|error| told(request, &error))?;
    let stored: Positions = stored.into_iter().collect();
    let (source, target) = if request.from_kafka {
        (in_kafka, stored)
    } else {
        (stored, in_kafka)
    };
    if !request.dry_run && !source.is_empty() {
        if request.from_kafka {
            runtime
                .block_on(write(store.as_mut(), &source))
                .map_err(|error| told(request, &error))?;
        } else {
            kafka
                .commit_positions(&to_kafka(&source))
                .map_err(explained)?;
        }
        refuse_members(
            &mut kafka,
            group,
            "somebody joined while positions were copied: stop them, and copy once more",
        )?;
    }
    Ok(report(request, &source, &target))
}

fn refuse_members(kafka: &mut LogReader, group: &str, remedy: &str) -> anyhow::Result<()> {
    let members = kafka.members().map_err(explained)?;
    if let Some(first) = members.first() {
        anyhow::bail!(
            "the group {} has {} member(s), {} among them\n  -> {remedy}",
            safe(group),
            members.len(),
            safe(first)
        );
    }
    Ok(())
}

fn of_kafka(kafka: &mut LogReader) -> anyhow::Result<Positions> {
    let committed = kafka.committed().map_err(explained)?;
    let positions = committed.into_iter().map(|committed| {
        let place = Place {
            topic: committed.topic,
            partition: committed.partition,
        };
        let position = Position {
            offset: committed.offset,
            leader_epoch: committed.leader_epoch,
            metadata: committed.metadata,
        };
        (place, position)
    });
    Ok(positions.collect())
}

fn to_kafka(positions: &Positions) -> Vec<CommittedPosition> {
    let committed = positions.iter().map(|(place, position)| CommittedPosition {
        topic: place.topic.clone(),
        partition: place.partition,
        offset: position.offset,
        leader_epoch: position.leader_epoch,
        metadata: position.metadata.clone(),
    });
    committed.collect()
}

/// Claims and writes: whoever still believes that a partition is his can write nothing more.
async fn write(store: &mut dyn OffsetStore, positions: &Positions) -> Result<(), StoreError> {
    let places: Vec<Place> = positions.keys().cloned().collect();
    let claims = store.claim(&places).await?;
    let writes = claims.into_iter().filter_map(|claim| {
        Some(Write {
            position: positions.get(&claim.place)?.clone(),
            place: claim.place,
            fence: claim.fence,
        })
    });
    let writes: Vec<Write> = writes.collect();
    let written = store.write(&writes).await?;
    if written.len() < positions.len() {
        return Err(StoreError::Refused(
            "somebody claimed partitions meanwhile".to_owned(),
        ));
    }
    Ok(())
}

fn told(request: &Request, error: &StoreError) -> anyhow::Error {
    let remedy = match error {
        StoreError::Away(_) => "look whether it runs and can be reached, and run this again",
        StoreError::Refused(_) => {
            "give the user what the settings reference names, or correct the settings of offset_store"
        }
    };
    anyhow::anyhow!("{}: {error}\n  -> {remedy}", request.store.name())
}

fn report(request: &Request, source: &Positions, target: &Positions) -> Report {
    let other = request.store.name();
    let (from, to) = if request.from_kafka {
        ("kafka", other)
    } else {
        (other, "kafka")
    };
    let alone = target
        .keys()
        .filter(|place| !source.contains_key(place))
        .count();
    let left = if alone == 0 {
        String::new()
    } else {
        format!("; {alone} that only {to} has are left alone")
    };
    let count = source.len();
    let done = match (request.dry_run, count) {
        (_, 0) => format!("{from} has no positions of the group: nothing to copy"),
        (true, _) => format!("{count} positions would be copied from {from} to {to}"),
        (false, _) => format!("{count} positions copied from {from} to {to}"),
    };
    Report {
        text: match request.format {
            Format::Table => rows(source, target, to),
            Format::Json => json_rows(source, target),
        },
        note: format!("{done}{left}"),
    }
}

fn rows(source: &Positions, target: &Positions, to: &str) -> String {
    if source.is_empty() {
        return String::new();
    }
    let before = format!("IN {} BEFORE", to.to_uppercase());
    let head = ["TOPIC", "PARTITION", "POSITION", before.as_str()];
    let rows: Vec<Vec<String>> = source
        .iter()
        .map(|(place, position)| {
            let before = target.get(place).map(|before| before.offset.to_string());
            vec![
                safe(&place.topic),
                place.partition.to_string(),
                position.offset.to_string(),
                before.unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    table(&head, &rows)
}

fn json_rows(source: &Positions, target: &Positions) -> String {
    let rows: Vec<Value> = source
        .iter()
        .map(|(place, position)| {
            json!({
                "topic": place.topic,
                "partition": place.partition,
                "position": position.offset,
                "leader_epoch": position.leader_epoch,
                "before": target.get(place).map(|before| before.offset),
            })
        })
        .collect();
    format!("{:#}\n", Value::Array(rows))
}
