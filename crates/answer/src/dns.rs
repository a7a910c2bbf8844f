//! dns answers.
