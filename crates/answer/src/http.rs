//! http answers.
