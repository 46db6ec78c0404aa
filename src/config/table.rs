//! How the table of options is written (the `options!` macro), and what else is made from it: the typed groups, their
//! defaults, and a description of each option for the sample and for the check of unknown names.

use std::ops::RangeInclusive;

/// What the table says of one option.
#[derive(Debug)]
pub(super) struct OptionSpec {
    /// The key in the file.
    pub(super) name: &'static str,
    /// Names that older files have for it.
    pub(super) aliases: &'static [&'static str],
    /// The kind of value, in oslo.config's words.
    pub(super) kind: &'static str,
    /// The numbers that it may have.
    pub(super) limits: Option<RangeInclusive<i64>>,
    /// The help text, one item for each line of the table.
    pub(super) help: &'static [&'static str],
    /// The default as text, one item for each line of the sample.
    pub(super) default: fn() -> Vec<String>,
}

/// Writes groups of options: `"section" Group { /// help name: Type = default, min..=max, also "old name"; }`.
macro_rules! options {
    ($(
        $(#[doc = $about:literal])+
        $section:literal $Group:ident {
            $(
                $(#[doc = $help:literal])+
                $name:ident : $type:ty = $default:expr
                    $(, $min:literal ..= $max:literal)?
                    $(, also $alias:literal)*
                ;
            )+
        }
    )+) => { $(
        $(#[doc = $about])+
        #[derive(Debug, Clone)]
        pub struct $Group {
            $( $(#[doc = $help])+ pub $name: $type, )+
        }

        impl Default for $Group {
            fn default() -> Self {
                Self { $( $name: $default, )+ }
            }
        }

        impl $Group {
            /// The section in which the group stands.
            pub const SECTION: &'static str = $section;

            pub(super) const OPTIONS: &'static [OptionSpec] = &[
                $( OptionSpec {
                    name: stringify!($name),
                    aliases: &[$($alias),*],
                    kind: <$type as OptionType>::NAME,
                    limits: options!(@limits $($min ..= $max)?),
                    help: &[$($help),+],
                    default: || { let value: $type = $default; OptionType::format(&value) },
                }, )+
            ];
        }
    )+ };
    (@limits) => { None };
    (@limits $min:literal ..= $max:literal) => { Some($min..=$max) };
}
pub(super) use options;
