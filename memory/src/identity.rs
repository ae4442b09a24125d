//! Who is who: one entity for each identity that a system knows.
//!
//! An entity id is derived from the system and its id for the person, so the same address is the same entity in every run
//! and after every restart, without a lookup that could race.

use soloist_kernel::payload::Digest;

/// The entity behind `external` in `system`: `contact-` and 16 hex digits. Mail addresses compare without regard to case;
/// RFC 5321 lets the local part differ by case, and no provider in use makes use of it.
#[must_use]
pub fn entity(system: &str, external: &str) -> String {
    let text = format!("{}:{system}:{}", system.len(), external.trim().to_lowercase());
    format!("contact-{}", &Digest::of(text.as_bytes()).to_hex()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_entity_however_it_is_written() {
        assert_eq!(entity("mail", "Ada@Client.example "), entity("mail", "ada@client.example"));
        assert_ne!(entity("mail", "ada@client.example"), entity("crm", "ada@client.example"));
    }
}
