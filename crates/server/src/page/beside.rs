//! What stands beside the map: what wants attention, who leads of several controllers, how edges are. And the edges' own page.

use super::frame::{machine, time};
use crate::controller::Leading;
use crate::http::Api;
use api::edge::Edge;
use api::http::Trouble;
use maud::{Markup, html};
use std::net::IpAddr;

/// Lines beside the map; Findings has more, and the rest is counted.
pub(super) const TROUBLES_MAX: usize = 12;
/// Edges beside the map; their own page has the others.
const EDGES_MAX: usize = 8;
/// Edges on that page; `zw edge list` has all.
const LISTED_MAX: usize = 200;

/// Beside the map. Nothing, if there is nothing to say.
pub(super) fn beside(
    troubles: &(Vec<Trouble>, usize),
    sharing: Option<&Leading>,
    edges: &[Edge],
    generation: u64,
) -> Markup {
    let (listed, more) = troubles;
    html! {
        @if !listed.is_empty() {
            section {
                h2 { "Wants attention · " (listed.len() + more) }
                ul.lines { @for trouble in listed { li { (line(trouble)) } } }
                @if *more > 0 { p.faint { "and " (more) " more: " a href="/findings" { "Findings" } } }
            }
        }
        (controllers(sharing))
        @if !edges.is_empty() {
            section {
                h2 { a href="/edges" { "Edges" } " · " (edges.len()) }
                ul.lines { @for edge in worst_first(edges).into_iter().take(EDGES_MAX) { li {
                    b { (edge.name) } " "
                    @match edge.obstacle() {
                        Some(obstacle) => span.alarm[edge.enrolled] { (obstacle) },
                        None => {
                            (plan(edge, generation))
                            @if let Some(files) = edge.files() { ", " span.alarm[lacks(edge)] { (files) " files" } }
                            @if let Some(heard) = edge.heard { ", heard " (time(heard)) }
                        }
                    }
                } } }
                @if edges.len() > EDGES_MAX { p.faint { "and " (edges.len() - EDGES_MAX) " more" } }
            }
        }
    }
}

/// What is wrong, after the place that leads there.
fn line(trouble: &Trouble) -> Markup {
    html! {
        @if let Some(location) = &trouble.location { (machine(location)) " " }
        @else if let Some(id) = trouble.change { a href={ "/changes/" (id) } { "change " (id) } " " }
        @let sentence = trouble.change.and_then(|id| trouble.sentence.strip_prefix(&format!("change {id} ")));
        (sentence.unwrap_or(&trouble.sentence))
        @if trouble.about == "refusals" { " " a href="/refusals" { "Refusals" } }
        @if let Some(code) = &trouble.code { " " code { (code) } }
    }
}

/// Of several controllers, who is there and who leads.
fn controllers(sharing: Option<&Leading>) -> Markup {
    html! {
        @if let Some(sharing) = sharing {
            section.controllers {
                h2 { "Controllers · " (sharing.controllers.len()) }
                p {
                    @match sharing.leads() {
                        Some(leads) => { b { (leads) } " leads" }
                        None => span.alarm { "nobody is known to lead" },
                    }
                    "; there are " (sharing.controllers.join(", ")) "; this is " (sharing.name) "."
                }
            }
        }
    }
}

/// All edges.
pub(super) async fn edges(api: &Api) -> Markup {
    let generation = api.controller.zone().whole().generation.0;
    let listed = api.controller.list_edges().await;
    html! {
        h1 { "Edges" }
        @match &listed {
            Err(why) => p.alarm { "The edges cannot be listed now: " (why) },
            Ok(edges) if edges.is_empty() => {
                p.none { "This zone has no edge. One answers near the machines, also with every controller gone: "
                    code { "zw edge add NAME --address ADDRESS" } "." }
            }
            Ok(edges) => {
                p { (lifecycle::change::counted(edges.len(), "edge")) ", those that something is in the way of first, as this controller heard of them. The newest plan is #" (generation) "." }
                (table(edges, generation))
                @if edges.len() > LISTED_MAX { p.faint { "and " (edges.len() - LISTED_MAX) " more: " code { "zw edge list" } } }
            }
        }
        (controllers(api.controller.condition().sharing.as_ref()))
    }
}

fn table(edges: &[Edge], generation: u64) -> Markup {
    html! {
        div.wide { table {
            thead { tr { th { "Edge" } th { "Addresses" } th { "Plan" } th { "Heard" } th { "Files" } th { "Release" } th { "In its way" } } }
            tbody { @for edge in worst_first(edges).into_iter().take(LISTED_MAX) { tr {
                td { b { (edge.name) } }
                td { code { (edge.addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ")) } }
                td { (plan(edge, generation)) }
                td { @if let Some(heard) = edge.heard { (time(heard)) } @else { span.faint { "not yet" } } }
                td { @if let Some(files) = edge.files() { span.alarm[lacks(edge)] { (files) } } }
                td { @if let Some(release) = &edge.release { (release) } }
                td.text { @if let Some(obstacle) = edge.obstacle() { span.alarm[edge.enrolled] { (obstacle) } } }
            } } }
        } }
    }
}

/// The plan that it answers from, against the newest.
fn plan(edge: &Edge, generation: u64) -> Markup {
    html! {
        @match edge.generation {
            None => span.faint { "no plan" },
            Some(own) if own == generation => { "plan #" (own) }
            Some(own) => span.alarm { "plan #" (own) ", not #" (generation) },
        }
    }
}

fn lacks(edge: &Edge) -> bool {
    edge.report.as_ref().is_some_and(|report| report.missing > 0)
}

/// Those that something is in the way of, those that lack something, the others; by name.
fn worst_first(edges: &[Edge]) -> Vec<&Edge> {
    let mut edges: Vec<&Edge> = edges.iter().collect();
    edges.sort_by_key(|edge| (edge.obstacle().is_none(), !lacks(edge)));
    edges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Leader;
    use api::edge::Report;
    use model::Time;

    fn edge(name: &str, missing: u32, refused: Option<&str>) -> Edge {
        Edge {
            name: name.to_owned(),
            addresses: vec![[10, 0, 0, 1].into()],
            added: Time(1),
            by: "ada".to_owned(),
            enrolled: true,
            heard: Some(Time(2)),
            generation: Some(7),
            release: Some("0.1.0".to_owned()),
            report: Some(Report {
                files: 3,
                missing,
                refused: refused.map(str::to_owned),
                ..Report::default()
            }),
        }
    }

    #[test]
    fn edges_are_listed_the_worst_first_and_the_rest_is_counted() {
        let mut edges: Vec<Edge> = (0..10).map(|at| edge(&format!("e{at}"), 0, None)).collect();
        edges[8] = edge("e8", 2, None);
        edges[9] = edge("e9", 0, Some("<b>another release</b>"));
        let names: Vec<&str> = worst_first(&edges).iter().map(|edge| edge.name.as_str()).collect();
        assert_eq!(names[..3], ["e9", "e8", "e0"]);
        let shown = beside(&(Vec::new(), 0), None, &edges, 8).into_string();
        assert!(shown.contains("&lt;b&gt;another release&lt;/b&gt;"), "{shown}");
        assert!(shown.contains("3 of 5 files") && shown.contains("plan #7, not #8"), "{shown}");
        assert!(shown.contains("and 2 more"), "{shown}");
        assert_eq!(beside(&(Vec::new(), 0), None, &[], 8).into_string(), "");
    }

    #[test]
    fn who_leads_is_said_where_there_are_several_controllers() {
        let mut sharing = Leading {
            name: "b".to_owned(),
            controllers: vec!["a".to_owned(), "b".to_owned()],
            leader: Leader::Other("a".to_owned()),
            has_namesake: false,
        };
        let text = |sharing: &Leading| controllers(Some(sharing)).into_string();
        assert!(text(&sharing).contains("<b>a</b> leads; there are a, b; this is b."), "{}", text(&sharing));
        sharing.leader = Leader::Nobody;
        assert!(text(&sharing).contains("nobody is known to lead"));
    }
}
