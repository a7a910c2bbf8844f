//! tftp messages.
