//! What is true of a stream or an endpoint, as sets of bits.

/// Defines a set of flags. Each gets a bit of its own, in the order in which they are listed: the
/// lowest bits are the cheapest to ask for and to clear, since a mask above the 31st bit takes a
/// register. So what every message is asked about comes first.
macro_rules! flags {
    (
        $(#[$meta:meta])*
        $name:ident: $bits:ty;
        $($(#[$attribute:meta])* $flag:ident,)+
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) struct $name($bits);

        const _: () = {
            #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "the flags' names")]
            enum Bit {
                $($flag,)+
            }

            impl $name {
                $($(#[$attribute])* pub(super) const $flag: Self = Self(1 << Bit::$flag as $bits);)+
            }
        };

        impl $name {
            #[inline]
            pub(super) const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            #[inline]
            pub(super) const fn difference(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            #[inline]
            pub(super) const fn intersects(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }
        }
    };
}

pub(crate) use flags;
