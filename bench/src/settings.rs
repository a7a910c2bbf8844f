//! What was asked for on the command line.

use std::path::{Path, PathBuf};

/// What to run, and how long.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// One section; `None`: all.
    pub(crate) section: Option<String>,
    /// Tiny numbers, correctness asserted, nothing judged by time.
    pub(crate) is_smoke: bool,
    /// Rounds of every figure, if they were said.
    pub(crate) rounds: Option<usize>,
    /// Only this server and the limit.
    pub(crate) only: Option<String>,
    /// Where designs and answers are written.
    pub(crate) scratch: PathBuf,
}

impl Settings {
    /// Reads the words of the command line.
    pub(crate) fn read(words: &[&str]) -> Result<Self, String> {
        let mut settings =
            Self { section: None, is_smoke: false, rounds: None, only: None, scratch: PathBuf::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value =
                || words.next().map(|value| (*value).to_owned()).ok_or(format!("{word} needs a value"));
            match *word {
                "--smoke" => settings.is_smoke = true,
                "--rounds" => {
                    let text = value()?;
                    let rounds = text.parse().ok().filter(|rounds| *rounds > 0);
                    settings.rounds = Some(rounds.ok_or(format!("{text} is no number of rounds"))?);
                }
                "--only" => settings.only = Some(value()?),
                "--scratch" => settings.scratch = value()?.into(),
                section if crate::SECTIONS.iter().any(|(name, _)| *name == section) => {
                    settings.section = Some(section.to_owned());
                }
                other => {
                    let names: Vec<&str> = crate::SECTIONS.iter().map(|(name, _)| *name).collect();
                    return Err(format!(
                        "{other} is no section; there are {}, and the words --smoke, --rounds N, --only SERVER",
                        names.join(", ")
                    ));
                }
            }
        }
        Ok(settings)
    }

    /// The words that [`Settings::read`] reads the same from.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = vec!["--scratch".to_owned(), self.scratch.display().to_string()];
        if self.is_smoke {
            words.push("--smoke".to_owned());
        }
        for (word, value) in
            [("--rounds", self.rounds.map(|rounds| rounds.to_string())), ("--only", self.only.clone())]
        {
            words.extend(value.into_iter().flat_map(|value| [word.to_owned(), value]));
        }
        words
    }

    /// The same, with files in this directory.
    pub(crate) fn in_directory(&self, scratch: &Path) -> Self {
        Self { scratch: scratch.to_owned(), ..self.clone() }
    }

    /// Rounds of a figure that usually takes so many.
    pub(crate) fn rounds(&self, usual: usize) -> usize {
        self.rounds.unwrap_or(if self.is_smoke { 1 } else { usual })
    }

    /// Whether this server takes part.
    pub(crate) fn wants(&self, server: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == server)
    }

    /// Whether its page may become `bench/results.md`.
    pub(crate) fn is_whole(&self) -> bool {
        self.section.is_none() && !self.is_smoke && self.only.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_were_written() {
        let settings = Settings::read(&["--smoke", "--rounds", "3", "--only", "kea"]).expect("good words");
        let words = settings.words();
        let again =
            Settings::read(&words.iter().map(String::as_str).collect::<Vec<_>>()).expect("good words");
        assert_eq!(format!("{settings:?}"), format!("{again:?}"));
        assert!(again.wants("kea") && !again.wants("dnsmasq") && !again.is_whole());
    }

    #[test]
    fn a_word_that_is_none_is_said() {
        for (words, said) in [
            (&["dchp"][..], "dchp is no section"),
            (&["--rounds", "0"], "0 is no number of rounds"),
            (&["--rounds"], "--rounds needs a value"),
        ] {
            let why = Settings::read(words).expect_err(said);
            assert!(why.starts_with(said), "{why}");
        }
    }
}
