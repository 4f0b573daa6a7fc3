//! What a request over the admin listener changes: handed to the thread it concerns.

use std::sync::Arc;
use std::sync::mpsc::TrySendError;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::monitoring::Commands;
use super::reload::{Outcome, Reload};
use crate::admin::{Cause, Change, Changes, FieldProblem, Refusal};
use crate::drift::accept;
use crate::model::ModelName;
use crate::monitor::{Command, Refused};

/// Longer than a check without its rests takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longer than all but the largest references take to read.
const RELOAD_PATIENCE: Duration = Duration::from_secs(240);

/// Carries out what is asked for of `models`.
pub(super) fn changes(models: Vec<ModelName>, commands: Commands, reload: Reload) -> Changes {
    let parts = Arc::new((models, commands, reload));
    Arc::new(move |change| {
        let parts = Arc::clone(&parts);
        Box::pin(async move {
            let (models, commands, reload) = &*parts;
            carry_out(change, models, commands, reload).await
        })
    })
}

async fn carry_out(
    change: Change,
    models: &[ModelName],
    commands: &Commands,
    reload: &Reload,
) -> Result<Value, Refusal> {
    match change {
        Change::Accept {
            model,
            feature,
            terms,
        } => {
            let (reply, answer) = oneshot::channel();
            let index = index(models, &model)?;
            send(
                commands,
                Command::Accept {
                    model: index,
                    feature,
                    terms,
                    reply,
                },
            )?;
            let accepted = answered(answer).await?;
            let accepted: Vec<Value> = (accepted.iter())
                .map(|acceptance| {
                    let mut entry = json!(acceptance);
                    entry["model"] = json!(model);
                    entry
                })
                .collect();
            Ok(json!({ "accepted": accepted }))
        }
        Change::Unaccept { model, feature, by } => {
            let (reply, answer) = oneshot::channel();
            let index = index(models, &model)?;
            send(
                commands,
                Command::Unaccept {
                    model: index,
                    feature,
                    by,
                    reply,
                },
            )?;
            let ended = answered(answer).await?;
            let ended: Vec<Value> = (ended.iter())
                .map(|e| json!({ "model": model, "feature": e.feature, "test": e.test }))
                .collect();
            Ok(json!({ "unaccepted": ended }))
        }
        Change::Reload => {
            let busy = || Refusal::new(Cause::Busy, "", "driftd is reloading already, or ending");
            let answer = reload.ask_and_tell().ok_or_else(busy)?;
            match tokio::time::timeout(RELOAD_PATIENCE, answer).await {
                Ok(outcome) => reloaded(outcome.map_err(|_| busy())?),
                Err(_) => {
                    let message =
                        "the references are still being read; what comes of it is in the log";
                    Err(Refusal::new(Cause::Busy, "", message))
                }
            }
        }
    }
}

fn reloaded(outcome: Outcome) -> Result<Value, Refusal> {
    if outcome.problems.is_empty() {
        return Ok(json!(outcome));
    }
    let transient = outcome.problems.iter().all(|problem| problem.transient);
    let problems = outcome.problems.into_iter().map(|problem| FieldProblem {
        field: problem.setting,
        message: problem.message,
    });
    Err(Refusal {
        cause: if transient { Cause::Busy } else { Cause::File },
        problems: problems.collect(),
    })
}

fn index(models: &[ModelName], name: &str) -> Result<usize, Refusal> {
    let found = models.iter().position(|model| model.as_str() == name);
    found.ok_or_else(|| {
        let known: Vec<&str> = models.iter().map(ModelName::as_str).collect();
        let message = format!("no model {name:?}; the models are: {}", known.join(", "));
        Refusal::new(Cause::Unknown, "model", message)
    })
}

fn send(commands: &Commands, command: Command) -> Result<(), Refusal> {
    let busy = |message| Refusal::new(Cause::Busy, "", message);
    let Some(commands) = commands.get() else {
        return Err(busy("the window is not open yet; try again when it is"));
    };
    commands.try_send(command).map_err(|error| match error {
        TrySendError::Full(_) => busy("too many requests wait already; try again in a moment"),
        TrySendError::Disconnected(_) => busy("driftd makes no checks any more; restart it"),
    })
}

async fn answered<T>(answer: oneshot::Receiver<Result<T, Refused>>) -> Result<T, Refusal> {
    let busy = |message| Refusal::new(Cause::Busy, "", message);
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(Ok(done))) => Ok(done),
        Ok(Ok(Err(refused))) => Err(refusal(&refused)),
        Ok(Err(_)) => Err(busy("driftd is ending")),
        Err(_) => Err(busy(
            "a check takes long; it may still be done: look at /api/v1/accept",
        )),
    }
}

fn refusal(refused: &Refused) -> Refusal {
    let (cause, field) = match refused {
        Refused::Request(accept::Refusal::Unknown { .. }) => (Cause::Unknown, "feature"),
        Refused::Request(_) => (Cause::Conflict, "feature"),
        Refused::Unchecked | Refused::Window(_) => (Cause::Busy, ""),
    };
    Refusal::new(cause, field, super::chain(refused))
}
