//! Password hashing with argon2id (RFC 9106), stored as PHC strings.

use argon2::password_hash::phc::{Ident, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use secrecy::zeroize::Zeroize;

/// The most memory that a hash may ask for, in KiB. A stored hash that asks for more is refused before any is taken.
pub const MAX_MEMORY_KIB: u32 = 64 * 1024;
/// The most passes over the memory that a hash may ask for.
pub const MAX_ITERATIONS: u32 = 16;
/// The most lanes that a hash may ask for.
pub const MAX_PARALLELISM: u32 = 16;

/// OWASP's recommendation for argon2id with the least memory that it calls sound.
const OWASP_MEMORY_KIB: u32 = 19 * 1024;
const OWASP_ITERATIONS: u32 = 2;
const OWASP_PARALLELISM: u32 = 1;

const ALGORITHM: Ident = argon2::ARGON2ID_IDENT;
const VERSION: Version = Version::V0x13;
const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = 32;
/// The most output that a PHC string holds.
const MAX_OUTPUT_BYTES: usize = 64;

/// How passwords are hashed. The default is OWASP's: 19 MiB, 2 passes, 1 lane, which takes about 15 ms of a core.
///
/// The lanes are computed one after the other: parallelism makes no hash faster here.
#[derive(Debug, Clone)]
pub struct Argon2id {
    parameters: Parameters,
}

impl Default for Argon2id {
    fn default() -> Self {
        Self::with_params(OWASP_MEMORY_KIB, OWASP_ITERATIONS, OWASP_PARALLELISM)
    }
}

impl Argon2id {
    /// Other parameters, for tests and for machines that can afford more.
    ///
    /// # Panics
    /// If they are above [`MAX_MEMORY_KIB`], [`MAX_ITERATIONS`] or [`MAX_PARALLELISM`], if one is zero, or if there are
    /// less than 8 KiB of memory per lane.
    #[must_use]
    pub fn with_params(memory_kib: u32, iterations: u32, parallelism: u32) -> Self {
        let parameters = Parameters { memory_kib, iterations, parallelism };
        assert!(parameters.are_permitted(), "not permitted for argon2id: {parameters:?}");
        Self { parameters }
    }

    /// The PHC string to store for a password. `salt` is random and new for every password.
    #[must_use]
    pub fn hash(&self, password: &str, salt: [u8; SALT_BYTES], scratch: &mut Scratch) -> String {
        let mut output = [0; OUTPUT_BYTES];
        self.parameters.compute(password, &salt, &mut output, scratch);
        self.parameters.to_phc(salt, output)
    }

    /// A PHC string of these parameters that no password matches. To check a password against it takes as long as
    /// against a real one: it stands in for users who do not exist.
    #[must_use]
    pub fn decoy(&self, salt: [u8; SALT_BYTES]) -> String {
        // To find a password with this output is to break the hash.
        self.parameters.to_phc(salt, [0; OUTPUT_BYTES])
    }

    /// Checks a password against a stored PHC string, with the parameters that the string names.
    ///
    /// What is no PHC string of argon2id, or asks for more than is permitted, is [`Verdict::Wrong`] after the work of
    /// one hash with these parameters.
    #[must_use]
    pub fn verify(&self, password: &str, phc: &str, scratch: &mut Scratch) -> Verdict {
        let Some(stored) = Stored::parse(phc) else {
            let mut output = [0; OUTPUT_BYTES];
            self.parameters.compute(password, &[0; SALT_BYTES], &mut output, scratch);
            return Verdict::Wrong;
        };

        let mut output = [0; MAX_OUTPUT_BYTES];
        let output = &mut output[..stored.output.len()];
        stored.parameters.compute(password, &stored.salt, output, scratch);
        if verify_slices_are_equal(output, &stored.output).is_err() {
            return Verdict::Wrong;
        }
        let same_lengths = stored.salt.len() == SALT_BYTES && stored.output.len() == OUTPUT_BYTES;
        if stored.parameters == self.parameters && same_lengths { Verdict::Right } else { Verdict::RightButOutdated }
    }
}

/// What a check of a password says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is not the password.
    Wrong,
    /// It is the password.
    Right,
    /// It is the password, and its hash was made with other parameters: store a new hash.
    RightButOutdated,
}

/// The memory that a hash works in, kept from call to call so that a thread does not ask for it each time.
///
/// It grows to what the largest hash so far needed. It is wiped when it grows and when it is dropped, not after each
/// hash: that would cost more than it protects, since the next hash overwrites it.
#[derive(Default)]
pub struct Scratch {
    blocks: Vec<Block>,
}

impl Scratch {
    fn at_least(&mut self, blocks: usize) -> &mut [Block] {
        if self.blocks.len() < blocks {
            self.wipe();
            self.blocks = vec![Block::new(); blocks];
        }
        &mut self.blocks
    }

    fn wipe(&mut self) {
        self.blocks.iter_mut().for_each(Zeroize::zeroize);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").field("kib", &self.blocks.len()).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parameters {
    memory_kib: u32,
    iterations: u32,
    parallelism: u32,
}

impl Parameters {
    fn are_permitted(self) -> bool {
        /// KiB, a block being one: two for each of the four slices of a lane (RFC 9106).
        const MIN_MEMORY_PER_LANE: u32 = 8;
        (1..=MAX_PARALLELISM).contains(&self.parallelism)
            && (1..=MAX_ITERATIONS).contains(&self.iterations)
            && (MIN_MEMORY_PER_LANE * self.parallelism..=MAX_MEMORY_KIB).contains(&self.memory_kib)
    }

    /// Hashes into `output`. The parameters are permitted, salt and output of a length that a PHC string can have.
    fn compute(self, password: &str, salt: &[u8], output: &mut [u8], scratch: &mut Scratch) {
        let Self { memory_kib, iterations, parallelism } = self;
        let params = Params::new(memory_kib, iterations, parallelism, Some(output.len()))
            .expect("permitted parameters are within those of the algorithm");
        let blocks = scratch.at_least(params.block_count());
        Argon2::new(Algorithm::Argon2id, VERSION, params)
            .hash_password_into_with_memory(password.as_bytes(), salt, output, blocks)
            .expect("the lengths are within those of the algorithm");
    }

    fn to_phc(self, salt: [u8; SALT_BYTES], output: [u8; OUTPUT_BYTES]) -> String {
        let Self { memory_kib, iterations, parallelism } = self;
        let version = u32::from(VERSION);
        let [salt, output] = [&salt[..], &output[..]].map(|bytes| BASE64_STANDARD_NO_PAD.encode(bytes));
        format!("${ALGORITHM}$v={version}$m={memory_kib},t={iterations},p={parallelism}${salt}${output}")
    }
}

/// What a PHC string of argon2id says, within the permitted limits.
struct Stored {
    parameters: Parameters,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Stored {
    fn parse(phc: &str) -> Option<Self> {
        let phc = PasswordHash::new(phc).ok()?;
        if phc.algorithm != ALGORITHM || phc.version != Some(VERSION.into()) {
            return None;
        }
        let params = Params::try_from(&phc).ok()?;
        if !params.keyid().is_empty() || !params.data().is_empty() {
            return None;
        }
        let parameters =
            Parameters { memory_kib: params.m_cost(), iterations: params.t_cost(), parallelism: params.p_cost() };
        if !parameters.are_permitted() {
            return None;
        }
        let salt = phc.salt?.as_ref().to_vec();
        if salt.len() < argon2::MIN_SALT_LEN {
            return None;
        }
        Some(Self { parameters, salt, output: phc.hash?.as_bytes().to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SALT: [u8; 16] = *b"salt for a test!";

    fn quick() -> Argon2id {
        Argon2id::with_params(8, 1, 1)
    }

    fn hash(algorithm: &Argon2id, password: &str) -> String {
        algorithm.hash(password, SALT, &mut Scratch::default())
    }

    fn verify(algorithm: &Argon2id, password: &str, phc: &str) -> Verdict {
        algorithm.verify(password, phc, &mut Scratch::default())
    }

    #[test]
    fn the_default_is_what_owasp_recommends() {
        let phc = hash(&Argon2id::default(), "correct horse");
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert_eq!(verify(&Argon2id::default(), "correct horse", &phc), Verdict::Right);
        assert_eq!(verify(&Argon2id::default(), "battery staple", &phc), Verdict::Wrong);
    }

    #[test]
    fn a_hash_of_the_reference_implementation_is_understood() {
        // From the tests of the reference implementation: "password" and "somesalt".
        let phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert_eq!(verify(&quick(), "password", phc), Verdict::RightButOutdated);
        assert_eq!(verify(&quick(), "Password", phc), Verdict::Wrong);
    }

    #[test]
    fn a_hash_with_other_parameters_is_outdated() {
        for other in [(16, 1, 1), (8, 2, 1), (16, 1, 2)] {
            let phc = hash(&Argon2id::with_params(other.0, other.1, other.2), "correct horse");
            assert_eq!(verify(&quick(), "correct horse", &phc), Verdict::RightButOutdated);
            assert_eq!(verify(&quick(), "battery staple", &phc), Verdict::Wrong);
        }
    }

    #[test]
    fn no_password_matches_a_decoy() {
        let decoy = quick().decoy(SALT);
        assert!(Stored::parse(&decoy).is_some_and(|stored| stored.parameters == quick().parameters));
        for password in ["", "correct horse", &decoy] {
            assert_eq!(verify(&quick(), password, &decoy), Verdict::Wrong);
        }
    }

    #[test]
    fn what_cannot_be_checked_is_wrong_after_the_work_of_a_hash() {
        let right = hash(&quick(), "correct horse");
        let unchecked = [
            String::new(),
            "plain text".to_owned(),
            right.replace("argon2id", "argon2i"),
            right.replace("v=19", "v=16"),
            right.replace("v=19$", ""),
            right.replace("t=1", "t=0"),
            right.replace("p=1", "p=1,data=c29tZQ"),
            right.replace("p=1", "p=1,x=1"),
            right[..right.rfind('$').unwrap()].to_owned(),
            right.replace(&BASE64_STANDARD_NO_PAD.encode(SALT), "c2hvcnQ"),
        ];
        for phc in unchecked {
            let mut scratch = Scratch::default();
            assert_eq!(quick().verify("correct horse", &phc, &mut scratch), Verdict::Wrong, "{phc}");
            assert_eq!(scratch.blocks.len(), 8, "{phc}");
        }
    }

    #[test]
    fn absurd_parameters_are_refused_without_taking_the_memory() {
        let right = hash(&quick(), "correct horse");
        let absurd = ["m=4294967295,t=1,p=1", "m=65537,t=1,p=1", "m=8,t=4294967295,p=1", "m=1048576,t=1,p=16777215"];
        for parameters in absurd {
            let mut scratch = Scratch::default();
            let phc = right.replace("m=8,t=1,p=1", parameters);
            assert_eq!(quick().verify("correct horse", &phc, &mut scratch), Verdict::Wrong, "{phc}");
            assert_eq!(scratch.blocks.len(), 8, "{phc}");
        }
    }

    #[test]
    fn what_an_earlier_hash_left_behind_does_not_matter() {
        let mut scratch = Scratch::default();
        let large = Argon2id::with_params(64, 2, 2).hash("a", SALT, &mut scratch);
        let small = quick().hash("b", SALT, &mut scratch);
        assert_eq!(small, hash(&quick(), "b"));
        assert_eq!(large, Argon2id::with_params(64, 2, 2).hash("a", SALT, &mut scratch));
        assert_eq!(scratch.blocks.len(), 64);
    }

    #[test]
    fn parameters_beyond_the_limits_are_refused() {
        for (memory_kib, iterations, parallelism) in
            [(7, 1, 1), (15, 1, 2), (MAX_MEMORY_KIB + 1, 1, 1), (8, 0, 1), (8, MAX_ITERATIONS + 1, 1), (8, 1, 0)]
        {
            assert!(!Parameters { memory_kib, iterations, parallelism }.are_permitted());
        }
        assert!(!Parameters { memory_kib: u32::MAX, iterations: 1, parallelism: u32::MAX }.are_permitted());
    }

    proptest! {
        #[test]
        fn a_password_matches_its_hash_and_no_other_does(password: String, other: String, salt: [u8; 16]) {
            let phc = quick().hash(&password, salt, &mut Scratch::default());
            prop_assert_eq!(verify(&quick(), &password, &phc), Verdict::Right);
            if other != password {
                prop_assert_eq!(verify(&quick(), &other, &phc), Verdict::Wrong);
            }
        }

        #[test]
        fn no_stored_string_makes_it_panic(
            phc in r"(\$argon2id)?(\$v=19)?(\$m=[0-9]{1,10},t=[0-9]{1,2},p=[0-9]{1,10})?(\$[A-Za-z0-9+/]{0,70}){0,3}",
        ) {
            prop_assume!(Stored::parse(&phc).is_none_or(|stored| stored.parameters.memory_kib < 1024));
            prop_assert_eq!(verify(&quick(), "correct horse", &phc), Verdict::Wrong);
        }
    }
}
