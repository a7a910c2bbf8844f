//! What a BMC says of an error (DSP0266 §8.6, `@Message.ExtendedInfo`), as one sentence that is safe to show.

use serde_json::Value;

/// Messages of one answer that are told.
const MESSAGES_MAX: usize = 4;
/// The longest text of one, in characters.
const TEXT_MAX: usize = 300;

/// What was said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Said {
    /// One sentence or several; empty if nothing was.
    pub(crate) sentence: String,
    /// Message ids without registry and version, bounded like the messages.
    pub(crate) ids: Vec<String>,
    /// The arguments of the message that a password must be changed, if that is among them.
    pub(crate) account: Option<String>,
}

/// Text of a BMC without what a terminal or a log would take for its own, and not too much of it.
pub(crate) fn harmless(text: &str) -> String {
    let mut kept: String =
        text.trim().chars().take(TEXT_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.trim().chars().count() > TEXT_MAX {
        kept.push('…');
    }
    kept
}

/// What the messages in an answer say, whether it is an error (`error`), a resource or a task (`Messages`).
pub(crate) fn said(body: &Value) -> Said {
    let error = &body["error"];
    let lists = [&error["@Message.ExtendedInfo"], &body["@Message.ExtendedInfo"], &body["Messages"]];
    let messages = lists.into_iter().flat_map(|list| match list {
        Value::Array(messages) => messages.as_slice(),
        // iLO 4 and others send one message where a list belongs.
        Value::Object(_) => std::slice::from_ref(list),
        _ => &[],
    });
    let mut said = Said::default();
    let mut sentences: Vec<String> = Vec::new();
    for message in messages.take(MESSAGES_MAX) {
        let id = message["MessageId"].as_str().unwrap_or_default();
        let id = harmless(id.rsplit('.').next().unwrap_or_default());
        if id == "PasswordChangeRequired" {
            said.account = message["MessageArgs"][0].as_str().and_then(crate::address::path);
        }
        let text = message["Message"].as_str().map(harmless).filter(|text| !text.is_empty());
        // "See ExtendedInfo" says nothing, and "Success" is no error.
        let is_empty_word = matches!(id.as_str(), "GeneralError" | "Success");
        if let Some(text) = text.or_else(|| (!id.is_empty() && !is_empty_word).then(|| id.clone()))
            && !text.contains("See ExtendedInfo")
            && !sentences.contains(&text)
        {
            sentences.push(text);
        }
        if !id.is_empty() {
            said.ids.push(id);
        }
    }
    if sentences.is_empty()
        && let Some(text) = error["message"].as_str()
    {
        sentences.push(harmless(text));
    }
    if said.ids.is_empty()
        && let Some(code) = error["code"].as_str()
    {
        said.ids.push(harmless(code.rsplit('.').next().unwrap_or_default()));
    }
    said.sentence = sentences.join(" ");
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sentence_is_made_of_what_there_is() {
        let general = "A general error has occurred. See ExtendedInfo for more information.";
        let table = [
            (
                json!({"error": {"code": "Base.1.12.GeneralError", "message": general, "@Message.ExtendedInfo": [
                    {"MessageId": "IDRAC.2.8.RAC0904", "Message": "The remote file location is not accessible or reachable."}]}}),
                "The remote file location is not accessible or reachable.",
                vec!["RAC0904"],
            ),
            (
                json!({"error": {"code": "Base.1.0.GeneralError", "message": "no such system",
                    "@Message.ExtendedInfo": [{"MessageId": "Base.1.0.GeneralError"}]}}),
                "no such system",
                vec!["GeneralError"],
            ),
            // iLO's ids without any text.
            (
                json!({"error": {"code": "iLO.0.10.ExtendedInfo", "message": general,
                    "@Message.ExtendedInfo": [{"MessageId": "iLO.2.14.InvalidOperationForSystemState"}]}}),
                "InvalidOperationForSystemState",
                vec!["InvalidOperationForSystemState"],
            ),
            (json!({"error": {"message": "plain\r\u{1b}[31mred"}}), "plain  [31mred", vec![]),
            (
                json!({"Messages": [{"Message": "verification failed", "MessageId": "Update.1.0.VerificationFailed"}]}),
                "verification failed",
                vec!["VerificationFailed"],
            ),
            (json!({"error": "a string"}), "", vec![]),
            (json!([1, 2]), "", vec![]),
            (Value::Null, "", vec![]),
        ];
        for (body, sentence, ids) in table {
            let said = said(&body);
            assert_eq!(
                (said.sentence.as_str(), said.ids),
                (sentence, ids.into_iter().map(str::to_owned).collect()),
                "{body}"
            );
        }
    }

    #[test]
    fn however_much_is_said_little_is_kept() {
        let many: Vec<Value> = (0..10_000)
            .map(|number| json!({"MessageId": format!("X.1.0.M{number}"), "Message": format!("{number}{}", "y".repeat(10_000))}))
            .collect();
        let said = said(&json!({"error": {"@Message.ExtendedInfo": many}}));
        assert!(
            said.sentence.chars().count() < MESSAGES_MAX * (TEXT_MAX + 3) && said.ids.len() == MESSAGES_MAX
        );
    }

    #[test]
    fn the_account_of_a_password_change_is_found() {
        let body = json!({"@Message.ExtendedInfo": [{"MessageId": "Base.1.5.PasswordChangeRequired",
            "MessageArgs": ["/redfish/v1/AccountService/Accounts/root"]}]});
        assert_eq!(said(&body).account.as_deref(), Some("/redfish/v1/AccountService/Accounts/root"));
    }
}
