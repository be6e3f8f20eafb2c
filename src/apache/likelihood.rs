//! pure: three-valued answers.
//!
//! A condition may ask for what only a request or the file system knows; such
//! doubt is `Maybe`, and survives every combination that it could decide.

use std::ops::Not;

/// How sure an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likelihood {
    /// Never.
    No,
    /// Depends on what only the request or the file system knows.
    Maybe,
    /// Always.
    Yes,
}

impl Likelihood {
    /// Both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Maybe,
        }
    }

    /// One of them holds.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        !(!self).and(!other)
    }
}

impl Not for Likelihood {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
            Self::Yes => Self::No,
        }
    }
}

impl From<bool> for Likelihood {
    fn from(known: bool) -> Self {
        if known { Self::Yes } else { Self::No }
    }
}

#[cfg(test)]
mod tests {
    use super::Likelihood::{Maybe, No, Yes};

    #[test]
    fn doubt_survives_only_where_it_decides() {
        assert_eq!((Maybe.and(No), Maybe.and(Yes)), (No, Maybe));
        assert_eq!((Maybe.or(Yes), Maybe.or(No), !Maybe), (Yes, Maybe, Maybe));
    }
}
