//! tftp answers.
