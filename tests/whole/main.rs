//! Tests of the whole: the program as its users meet it.
//!
//! | module  | what it holds                                                                      |
//! |---------|------------------------------------------------------------------------------------|
//! | `cases` | every folder of `tests/cases` is a design and a transcript of commands; add a folder |

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod cases;
mod zw;
