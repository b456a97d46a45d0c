//! What bots are called. Names only.

/// A bot's display name: a word and, from the 33rd bot on, a number.
pub(crate) fn callsign(index: u32) -> String {
    let word = WORDS[index as usize % WORDS.len()];
    match index as usize / WORDS.len() {
        0 => word.to_owned(),
        round => format!("{word} {}", round + 1),
    }
}

const WORDS: [&str; 32] = [
    "Altair",
    "Bellatrix",
    "Castor",
    "Deneb",
    "Electra",
    "Fomalhaut",
    "Gemma",
    "Hadar",
    "Izar",
    "Jabbah",
    "Kochab",
    "Lesath",
    "Mimosa",
    "Nunki",
    "Okul",
    "Polaris",
    "Quadra",
    "Rigel",
    "Sirius",
    "Tarazed",
    "Unuk",
    "Vega",
    "Wezen",
    "Xamid",
    "Yildun",
    "Zosma",
    "Algol",
    "Becrux",
    "Capella",
    "Dubhe",
    "Enif",
    "Furud",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_fit_the_services_limit() {
        let names: std::collections::HashSet<_> = (0..1000).map(callsign).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| name.len() <= 32));
    }
}
