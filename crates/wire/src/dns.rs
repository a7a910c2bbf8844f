//! dns messages.
