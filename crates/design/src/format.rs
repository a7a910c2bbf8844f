//! placeholder
/// x
pub fn format(text: &str) -> Option<String> {
    Some(text.to_string())
}
