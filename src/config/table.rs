//! How the table of options is written (the `options!` macro), and what else is made from it: the typed groups, their
//! defaults, and a description of each option for the sample and for the check of unknown names.

use std::ops::RangeInclusive;

/// The numbers that an option may have, the bounds included.
pub(super) type Limits = RangeInclusive<i64>;

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
    pub(super) limits: Option<Limits>,
    /// The help text, one item for each line of the table.
    pub(super) help: &'static [&'static str],
    /// The default as text, one item for each line of the sample.
    pub(super) default: fn() -> Vec<String>,
}

impl OptionSpec {
    /// Its name and then its older names.
    pub(super) fn names(&self) -> Vec<&'static str> {
        [&[self.name], self.aliases].concat()
    }

    /// The default as a reference to the option gives it; empty when there is none.
    pub(super) fn default_text(&self) -> String {
        (self.default)()
            .pop()
            .filter(|text| text != NO_DEFAULT)
            .unwrap_or_default()
    }
}

/// A group of options as the table has it.
#[derive(Debug)]
pub(super) struct GroupSpec {
    /// The section in which the sample shows it.
    pub(super) section: &'static str,
    /// Its options in the table's order.
    pub(super) options: &'static [OptionSpec],
}

/// The option of this name, or older name, in this section of a table.
pub(super) fn find(
    groups: &'static [GroupSpec],
    section: &str,
    name: &str,
) -> Option<&'static OptionSpec> {
    groups
        .iter()
        .filter(|group| group.section == section)
        .flat_map(|group| group.options)
        .find(|option| option.names().contains(&name))
}

/// How a missing default looks in the sample.
pub(super) const NO_DEFAULT: &str = "<None>";

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

            const OPTIONS: &'static [OptionSpec] = &[
                $( options!(@spec $name, $type, $default, [$($min ..= $max)?], [$($alias),*], [$($help),+]), )+
            ];

            /// Reads the group from a section of the settings.
            pub(super) fn read(reader: &mut Reader<'_>, section: &str) -> Self {
                Self {
                    $( $name: {
                        let option = options!(@spec $name, $type, $default, [$($min ..= $max)?], [$($alias),*], [$($help),+]);
                        reader.read(section, &option, $default)
                    }, )+
                }
            }
        }
    )+

        /// All groups of the table, in its order.
        pub(super) const GROUPS: &[GroupSpec] = &[
            $( GroupSpec { section: $section, options: $Group::OPTIONS }, )+
        ];
    };
    (@spec $name:ident, $type:ty, $default:expr, $limits:tt, $aliases:tt, $help:tt) => {
        OptionSpec {
            name: stringify!($name),
            aliases: &$aliases,
            kind: <$type as OptionType>::NAME,
            limits: options!(@limits $limits),
            help: &$help,
            default: || { let value: $type = $default; OptionType::format(&value) },
        }
    };
    (@limits []) => { None };
    (@limits [$min:literal ..= $max:literal]) => { Some($min..=$max) };
}
pub(super) use options;
