//! etcd's JSON gateway, as far as we speak it: 64-bit numbers are strings, octets are base64, and what is zero is left out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// A key and what is there.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pair {
    #[serde(deserialize_with = "text")]
    pub(super) key: String,
    #[serde(deserialize_with = "octets")]
    pub(super) value: Vec<u8>,
    #[serde(deserialize_with = "number")]
    pub(super) create_revision: i64,
    #[serde(deserialize_with = "number")]
    pub(super) mod_revision: i64,
}

#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Header {
    #[serde(deserialize_with = "number")]
    pub(super) revision: i64,
}

/// What a range holds.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Range {
    pub(super) header: Header,
    pub(super) kvs: Vec<Pair>,
    pub(super) more: bool,
}

/// What came of a transaction.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Done {
    pub(super) header: Header,
    pub(super) succeeded: bool,
    responses: Vec<Response>,
}

#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
struct Response {
    response_range: Option<Range>,
}

impl Done {
    /// What the ranges of a transaction held, in order.
    pub(super) fn ranges(self) -> impl Iterator<Item = Range> {
        self.responses.into_iter().map(|response| response.response_range.unwrap_or_default())
    }
}

/// A lease, granted or kept alive.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Lease {
    #[serde(rename = "ID", deserialize_with = "number")]
    pub(super) id: i64,
    /// 0: there is no such lease any more.
    #[serde(rename = "TTL", deserialize_with = "number")]
    pub(super) seconds: i64,
}

/// The one answer of a stream.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Streamed {
    pub(super) result: Lease,
}

#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Authenticated {
    pub(super) token: String,
}

/// Why not.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    pub(super) code: i32,
    pub(super) message: String,
    /// Releases before 3.6.
    pub(super) error: String,
}

/// What must be so for a transaction to be done.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Compare {
    /// A key was made at this revision, and not again since; 0: it is not there.
    Made(String, i64),
    /// A key was last written at this revision.
    Written(String, i64),
}

/// What a transaction does.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Op {
    /// Under a lease, or under none: 0.
    Put(String, Vec<u8>, i64),
    Delete(String),
    /// From the first to before the second.
    DeleteRange(String, String),
    Get(Ranging),
}

/// What is read.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Ranging {
    pub(super) from: String,
    /// Before this key; `None`: the one key.
    pub(super) to: Option<String>,
    /// 0: all.
    pub(super) limit: u32,
    /// As of this revision; 0: now.
    pub(super) revision: i64,
    /// The last first.
    pub(super) descending: bool,
    pub(super) keys_only: bool,
}

impl Ranging {
    pub(super) fn key(key: String) -> Self {
        Self { from: key, ..Self::default() }
    }

    pub(super) fn between(from: String, to: String, limit: u32) -> Self {
        Self { from, to: Some(to), limit, ..Self::default() }
    }

    pub(super) fn json(&self) -> Value {
        let mut json = json!({"key": base64(self.from.as_bytes())});
        let mut set =
            |name: &str, value: Value| drop(json.as_object_mut().map(|json| json.insert(name.into(), value)));
        if let Some(to) = &self.to {
            set("range_end", base64(to.as_bytes()).into());
        }
        if self.limit > 0 {
            set("limit", self.limit.to_string().into());
        }
        if self.revision > 0 {
            set("revision", self.revision.to_string().into());
        }
        if self.descending {
            set("sort_order", "DESCEND".into());
            set("sort_target", "KEY".into());
        }
        if self.keys_only {
            set("keys_only", true.into());
        }
        json
    }
}

/// A transaction: all of `then` if all of `compare` is so, else all of `otherwise`.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Txn {
    pub(super) compare: Vec<Compare>,
    pub(super) then: Vec<Op>,
    pub(super) otherwise: Vec<Op>,
}

impl Txn {
    pub(super) fn json(&self) -> Value {
        json!({
            "compare": self.compare.iter().map(Compare::json).collect::<Vec<_>>(),
            "success": self.then.iter().map(Op::json).collect::<Vec<_>>(),
            "failure": self.otherwise.iter().map(Op::json).collect::<Vec<_>>(),
        })
    }
}

impl Compare {
    fn json(&self) -> Value {
        match self {
            Self::Made(key, revision) => json!({
                "target": "CREATE", "result": "EQUAL",
                "key": base64(key.as_bytes()), "create_revision": revision.to_string(),
            }),
            Self::Written(key, revision) => json!({
                "target": "MOD", "result": "EQUAL",
                "key": base64(key.as_bytes()), "mod_revision": revision.to_string(),
            }),
        }
    }
}

impl Op {
    fn json(&self) -> Value {
        match self {
            Self::Put(key, value, lease) => json!({"request_put": {
                "key": base64(key.as_bytes()), "value": base64(value), "lease": lease.to_string(),
            }}),
            Self::Delete(key) => json!({"request_delete_range": {"key": base64(key.as_bytes())}}),
            Self::DeleteRange(from, to) => json!({"request_delete_range": {
                "key": base64(from.as_bytes()), "range_end": base64(to.as_bytes()),
            }}),
            Self::Get(range) => json!({"request_range": range.json()}),
        }
    }

    /// About how many octets it takes in a request.
    pub(super) fn octets(&self) -> usize {
        match self {
            Self::Put(key, value, _) => key.len() + value.len() + 32,
            _ => 128,
        }
    }
}

pub(super) fn base64(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

fn octets<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    STANDARD.decode(String::deserialize(from)?).map_err(serde::de::Error::custom)
}

fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    String::from_utf8(octets(from)?).map_err(serde::de::Error::custom)
}

fn number<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Text(String),
        Plain(i64),
    }
    match Number::deserialize(from)? {
        Number::Text(text) => text.parse().map_err(serde::de::Error::custom),
        Number::Plain(number) => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_transaction_is_written_as_the_gateway_reads_it() {
        let txn = Txn {
            compare: vec![Compare::Made("a".into(), 0)],
            then: vec![Op::Put("a".into(), b"v".to_vec(), 7)],
            otherwise: vec![Op::Get(Ranging {
                descending: true,
                ..Ranging::between("a".into(), "b".into(), 2)
            })],
        };
        expect![[r#"{"compare":[{"create_revision":"0","key":"YQ==","result":"EQUAL","target":"CREATE"}],"failure":[{"request_range":{"key":"YQ==","limit":"2","range_end":"Yg==","sort_order":"DESCEND","sort_target":"KEY"}}],"success":[{"request_put":{"key":"YQ==","lease":"7","value":"dg=="}}]}"#]]
            .assert_eq(&txn.json().to_string());
    }

    #[test]
    fn an_answer_is_read_and_nonsense_is_an_error() {
        let answer = r#"{"header":{"cluster_id":"3","revision":"2","raft_term":"2"},"succeeded":true,
            "responses":[{"response_range":{"header":{"revision":"2"},"kvs":[{"key":"YS8x","create_revision":"2","mod_revision":2,
            "version":"1","value":"dg=="}],"count":"1"}},{"response_put":{"header":{"revision":"2"}}}]}"#;
        let done: Done = serde_json::from_str(answer).unwrap();
        assert_eq!((done.succeeded, done.header.revision), (true, 2));
        let ranges: Vec<_> = done.ranges().collect();
        let pair = Pair { key: "a/1".into(), value: b"v".to_vec(), create_revision: 2, mod_revision: 2 };
        assert_eq!(ranges[0].kvs, [pair]);
        for wrong in
            [r#"{"header":{"revision":"x"}}"#, r#"{"responses":[{"response_range":{"kvs":[{"key":"*"}]}}]}"#]
        {
            assert!(serde_json::from_str::<Done>(wrong).is_err());
        }
    }
}
