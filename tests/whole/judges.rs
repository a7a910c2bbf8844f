//! What we export, judged by the programs it is for: Ansible, Prometheus, Graphviz; and the API by its own document.

use crate::network::have;
use crate::served::{DESIGN, Zone};
use serde_json::Value;
use std::collections::BTreeSet;

/// What `zw export KIND` writes, put where the judges find it.
fn export(zone: &Zone, kind: &str, file: &str) -> String {
    let text = zone.zw(&["export", kind, DESIGN]).fine();
    zone.network.write(file, &text);
    text
}

fn machines(zone: &Zone) -> BTreeSet<String> {
    let rows = zone.facts.plan["machines"].as_array().expect("machines");
    rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn ansible_accepts_the_inventory() {
    let Some(zone) = have(&["ansible-inventory"]).then(Zone::drawn).flatten() else { return };
    export(&zone, "ansible", "/run/inventory.json");
    let ansible = |words: &[&str]| {
        let words = [
            &[
                "env",
                "HOME=/run",
                "ANSIBLE_LOCAL_TEMP=/run/ansible",
                "LC_ALL=C.UTF-8",
                "ansible-inventory",
                "-i",
                "/run/inventory.json",
            ],
            words,
        ]
        .concat();
        let told = zone.network.run(None, &words);
        assert!(!told.err.contains("[WARNING]"), "{told}");
        told.fine()
    };
    let list: Value = serde_json::from_str(&ansible(&["--list"])).expect("JSON");
    let hosts = list["_meta"]["hostvars"].as_object().expect("host variables");
    assert_eq!(hosts.keys().cloned().collect::<BTreeSet<_>>(), machines(&zone));
    assert_eq!(
        hosts["hv-u02"]["ansible_host"].as_str(),
        Some(zone.facts.address_of("u02").as_str()),
        "{list}"
    );
    let graph = ansible(&["--graph"]);
    assert!(graph.contains("hypervisor") && graph.contains("hv-u04"), "{graph}");
}

#[test]
fn prometheus_accepts_metrics_and_targets() {
    let Some(zone) = have(&["promtool"]).then(Zone::served).flatten() else { return };
    zone.network.write("/run/metrics", zone.metrics());
    let judged = zone.network.run(None, &["sh", "-c", "promtool check metrics </run/metrics"]);
    assert!(judged.is_fine() && judged.out.is_empty() && judged.err.is_empty(), "{judged}");

    let targets = export(&zone, "prometheus", "/run/targets.json");
    let groups: Value = serde_json::from_str(&targets).expect("JSON");
    assert!(groups.as_array().is_some_and(|groups| !groups.is_empty()), "{targets}");
    assert!(targets.contains(&zone.facts.address_of("u01")) || targets.contains("hv-u01"), "{targets}");
    zone.network.write(
        "/run/prometheus.yml",
        "scrape_configs:\n  - job_name: zone\n    file_sd_configs:\n      - files: [/run/targets.json]\n",
    );
    let judged = zone.network.run(None, &["promtool", "check", "config", "/run/prometheus.yml"]);
    assert!(judged.is_fine() && !judged.err.contains("WARNING"), "{judged}");
    let judged = zone.network.run(
        None,
        &["promtool", "check", "service-discovery", "--timeout=2s", "/run/prometheus.yml", "zone"],
    );
    assert!(judged.is_fine() && judged.out.contains("__address__"), "{judged}");
}

#[test]
fn graphviz_draws_the_cables() {
    let Some(zone) = have(&["dot"]).then(Zone::drawn).flatten() else { return };
    export(&zone, "dot", "/run/zone.dot");
    let drawn = zone.network.run(None, &["dot", "-Tplain", "/run/zone.dot"]);
    assert!(drawn.err.is_empty(), "{drawn}");
    let edges = drawn.fine().lines().filter(|line| line.starts_with("edge ")).count();
    assert_eq!(edges, zone.facts.plan["cables"].as_array().map_or(0, Vec::len));
}

#[test]
fn getent_reads_the_hosts() {
    let Some(zone) = have(&["getent"]).then(Zone::drawn).flatten() else { return };
    export(&zone, "hosts", "/etc/hosts");
    for name in ["hv-u03", "hv-u03.judged.example.net"] {
        let told = zone.network.run(Some("server"), &["getent", "ahostsv4", name]).fine();
        assert!(told.starts_with(&zone.facts.address_of("u03")), "{name}: {told}");
    }
}

#[test]
fn every_path_of_the_openapi_document_answers_as_it_says() {
    let Some(zone) = Zone::served() else { return };
    let document = zone.get("/openapi.json");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")), "{document}");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("references stay within the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() >= 5, "{paths:?}");
    let mut operations = BTreeSet::new();
    for (path, item) in paths {
        for (method, operation) in
            item.as_object().expect("operations").iter().filter(|(method, _)| *method != "parameters")
        {
            let id = operation["operationId"]
                .as_str()
                .unwrap_or_else(|| panic!("{method} {path} has no operationId"));
            assert!(operations.insert(id), "{id} is there twice");
            assert!(
                operation["responses"].as_object().is_some_and(|responses| !responses.is_empty()),
                "{method} {path}"
            );
            let parameters =
                operation["parameters"].as_array().into_iter().chain(item["parameters"].as_array()).flatten();
            let named: BTreeSet<&str> =
                parameters.filter(|it| it["in"] == "path").filter_map(|it| it["name"].as_str()).collect();
            let wanted: BTreeSet<&str> = path.split(['{', '}']).skip(1).step_by(2).collect();
            assert_eq!(named, wanted, "the parameters of {method} {path}");
            let needs_more = path.contains('{')
                || operation["responses"]["200"]["content"].get("application/json").is_none()
                || operation["parameters"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|it| it["required"] == true));
            if method == "get" && !needs_more {
                let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
                fits(&document, schema, &zone.get(path), path);
            }
        }
    }
}

fn collect_references(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            references.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| collect_references(value, references));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_references(value, references)),
        _ => {}
    }
}

/// Asserts that an answer has what its schema requires, and nothing of another type. Of JSON Schema only what an API
/// document is made of: `$ref`, `type`, `properties`, `required`, `items`, `enum`, `additionalProperties`, `allOf`.
fn fits(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        return fits(
            document,
            &document.pointer(&reference[1..]).expect("checked before").clone(),
            value,
            at,
        );
    }
    schema["allOf"].as_array().into_iter().flatten().for_each(|schema| fits(document, schema, value, at));
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_of_type = types.is_empty() || types.contains(&is) || is == "integer" && types.contains(&"number");
    assert!(is_of_type, "{at} should be {types:?}, and is {value}");
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{at} should be one of {allowed:?}, and is {value}");
    }
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        assert!(value.get(key).is_some(), "{at} should have `{key}`: {value}");
    }
    if let (Some(known), Some(object)) = (schema["properties"].as_object(), value.as_object()) {
        for (key, value) in object {
            match (known.get(key), &schema["additionalProperties"]) {
                (Some(schema), _) => fits(document, schema, value, &format!("{at}.{key}")),
                (None, Value::Bool(true) | Value::Object(_)) => {}
                (None, _) => panic!("{at}.{key} is not in the document"),
            }
        }
    }
    if let Some(values) = value.as_array() {
        values.iter().for_each(|value| fits(document, &schema["items"], value, &format!("{at}[]")));
    }
}

#[test]
fn every_json_that_zw_prints_is_json() {
    let Some(zone) = Zone::served() else { return };
    for words in [
        &["plan", DESIGN, "--json"][..],
        &["check", DESIGN, "--json"],
        &["status", "--json"],
        &["show", "refusals", "--json"],
        &["show", "p01/r1/u01", "--json"],
        &["why", "p01/r1/u01", "--json"],
    ] {
        let text = zone.zw(words).fine();
        assert!(serde_json::from_str::<Value>(&text).is_ok(), "zw {}:\n{text}", words.join(" "));
    }
}
