//! `os-release(5)`.

/// The fields that tell one distribution from another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// `ID`.
    pub id: String,
    /// `ID_LIKE`, split.
    pub id_like: Vec<String>,
    /// `VERSION_ID`.
    pub version_id: String,
}

impl OsRelease {
    /// Reads the file; unknown fields and lines that are no assignments are passed over.
    pub fn parse(text: &str) -> Self {
        let mut release = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.trim().split_once('=') else {
                continue;
            };
            let value = value.trim_matches(['"', '\'']);
            match key {
                "ID" => value.clone_into(&mut release.id),
                "ID_LIKE" => {
                    release.id_like = value.split_whitespace().map(str::to_owned).collect();
                }
                "VERSION_ID" => value.clone_into(&mut release.version_id),
                _ => {}
            }
        }
        release
    }

    /// `ID`, then what it is like, nearest first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.id.as_str()).chain(self.id_like.iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_and_bare_values() {
        let release = OsRelease::parse(
            "PRETTY_NAME=\"Ubuntu 24.04\"\nID=ubuntu\nID_LIKE='debian'\nVERSION_ID=\"24.04\"\n# x\n",
        );
        assert_eq!(release.ids().collect::<Vec<_>>(), ["ubuntu", "debian"]);
        assert_eq!(release.version_id, "24.04");
    }
}
