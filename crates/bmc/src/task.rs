//! What goes on after a request was accepted (DSP0266 §12.2): a task monitor, or a task.

use crate::address::{linked, path};
use crate::error::Error;
use crate::http::{Answer, Ask};
use crate::message::{harmless, said};
use crate::session::Bmc;
use hyper::StatusCode;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

impl Bmc {
    /// Waits for the end of what an answer began, if it began anything that goes on.
    pub(crate) async fn finish(
        &mut self,
        answer: Answer,
        awaited: &str,
        limit: Duration,
    ) -> Result<(), Error> {
        let is_task = is_task(&answer.body);
        let monitor = answer.location.as_deref().and_then(path);
        let monitor = match monitor {
            // Others than 202 name what they made, which is only of interest if it is a task.
            Some(monitor) if answer.status == StatusCode::ACCEPTED || is_task || monitor.contains("Task") => {
                monitor
            }
            _ if is_task => match linked(&answer.body) {
                Some(task) => task,
                None => return judge(&answer.body).map(|_| ()),
            },
            _ => return Ok(()),
        };
        self.watch(&monitor, answer.retry_after, awaited, limit).await
    }

    async fn watch(
        &mut self,
        monitor: &str,
        mut retry_after: Option<Duration>,
        awaited: &str,
        limit: Duration,
    ) -> Result<(), Error> {
        let end = Instant::now() + limit;
        let mut was_seen = false;
        let mut percent = None;
        loop {
            self.tell(awaited.to_owned(), percent);
            let wait = self.patience(retry_after);
            match self.ask(&Ask::get(monitor)).await {
                Ok(answer) => {
                    was_seen = true;
                    retry_after = answer.retry_after;
                    let told = &answer.body["PercentComplete"];
                    percent = told.as_u64().and_then(|told| u8::try_from(told.min(100)).ok()).or(percent);
                    let is_over = match is_task(&answer.body) {
                        true => judge(&answer.body)?,
                        // A monitor answers 202 for as long as it goes on.
                        false => answer.status != StatusCode::ACCEPTED,
                    };
                    if is_over {
                        self.tell(awaited.to_owned(), Some(100));
                        return Ok(());
                    }
                }
                // Its own firmware may be what is updated: it is away for some minutes.
                Err(Error::Unreachable { .. } | Error::TooSlow { .. }) => {
                    self.tell(format!("{awaited}; the BMC is away, it may restart"), percent);
                }
                Err(error) if was_seen && error.status() == Some(404) => {
                    return Err(Error::Failed {
                        sentence: "it no longer knows the task, as after a restart: its inventory tells what became of it"
                            .to_owned(),
                    });
                }
                Err(error) => return Err(error),
            }
            if Instant::now() + wait > end {
                return Err(Error::TooSlow { awaited: awaited.to_owned(), limit });
            }
            tokio::time::sleep(wait).await;
        }
    }
}

fn is_task(body: &Value) -> bool {
    body["TaskState"].is_string()
}

/// Whether a task is over; an error if it did not end well.
fn judge(task: &Value) -> Result<bool, Error> {
    match task["TaskState"].as_str().unwrap_or_default() {
        "Completed" => match task["TaskStatus"].as_str() {
            Some("Critical") => Err(failed(task, "Completed")),
            _ => Ok(true),
        },
        state @ ("Killed" | "Exception" | "Interrupted" | "Cancelled") => Err(failed(task, state)),
        _ => Ok(false),
    }
}

fn failed(task: &Value, state: &str) -> Error {
    let sentence = said(task).sentence;
    Error::Failed {
        sentence: if sentence.is_empty() {
            format!("its task ended as {}", harmless(state))
        } else {
            sentence
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_task_ends_well_badly_or_not_yet() {
        let judged = |task: Value| match judge(&task) {
            Ok(is_over) => is_over.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(judged(json!({"TaskState": "Running"})), "false");
        assert_eq!(judged(json!({"TaskState": "SomethingNew"})), "false");
        assert_eq!(judged(json!({"TaskState": "Completed", "TaskStatus": "OK"})), "true");
        assert_eq!(
            judged(json!({"TaskState": "Completed", "TaskStatus": "Critical"})),
            "it failed: its task ended as Completed"
        );
        assert_eq!(
            judged(
                json!({"TaskState": "Exception", "Messages": [{"Message": "the image is signed by nobody"}]})
            ),
            "it failed: the image is signed by nobody"
        );
    }
}
