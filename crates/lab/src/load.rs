//! A design's directory → a plan, or what is wrong with it.

use crate::error::Error;
use model::finding::Files;
use model::{Finding, Plan, Severity};
use std::path::Path;

/// Why there is no plan.
#[derive(Debug)]
pub enum LoadError {
    /// The directory could not be read.
    Read(Error),
    /// The design has errors; these are all its findings, and the files they point into.
    Findings(Vec<Finding>, Files),
}

impl LoadError {
    /// In one line, for a log.
    pub fn line(&self) -> String {
        match self {
            LoadError::Read(error) => error.chain(),
            LoadError::Findings(findings, _) => {
                let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
                let first = errors.clone().next().map_or("", |finding| finding.sentence.as_str());
                format!("understand the design: {} errors, the first: {first}", errors.count())
            }
        }
    }
}

/// Reads, parses and compiles.
///
/// # Errors
/// If there is no plan.
pub fn load(directory: &Path) -> Result<(Plan, Vec<Finding>, Files), LoadError> {
    let files = server::files::read_design(directory).map_err(|error| {
        LoadError::Read(Error::because(format!("read the design in {}", directory.display()), error))
    })?;
    let (design, mut findings) = design::parse(&files);
    let Some(design) = design else { return Err(LoadError::Findings(findings, files)) };
    let (plan, more) = plan::compile(design, None);
    findings.extend(more);
    match plan {
        Some(plan) => Ok((plan, findings, files)),
        None => Err(LoadError::Findings(findings, files)),
    }
}
