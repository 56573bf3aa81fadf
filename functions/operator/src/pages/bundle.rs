//! One script of the dashboard's modules. A browser would ask for each of them, and each answer is a call of a function.
//!
//! It knows the forms of import and export that the dashboard uses, `import { … } from '…';` and `export` before a
//! declaration, and nothing else of the language: a module becomes a function that gives what it exports, and is called
//! once, after those from which it imports. It doesn't run anything: tests hold the modules to these forms, and a browser
//! runs the outcome.

use std::fmt::Write;

/// A module: its path below the folder, and its text.
#[derive(Clone, Copy)]
pub(crate) struct Module {
    pub(crate) path: &'static str,
    pub(crate) text: &'static str,
}

const IMPORT: &str = "import {";
const EXPORT: &str = "export ";
const DECLARATIONS: [&str; 4] = ["const ", "async function ", "function ", "class "];

/// The script that does what the module `entry` does.
pub(crate) fn bundled(modules: &[Module], entry: &str) -> String {
    let mut script = String::from("const modules = {};\n");
    let mut begun = Vec::new();
    append(&mut script, modules, entry, &mut begun);
    script
}

// What was begun isn't begun again, so two modules that import from each other end this all the same.
fn append(script: &mut String, modules: &[Module], path: &str, begun: &mut Vec<String>) {
    let Some(module) = modules.iter().find(|module| module.path == path) else {
        return;
    };
    if begun.iter().any(|known| known == path) {
        return;
    }
    begun.push(path.to_owned());
    for imported in imports_of(*module) {
        append(script, modules, &imported, begun);
    }
    // Writing to a string doesn't fail.
    let _ = write!(
        script,
        "modules['{path}'] = (() => {{\n{}return {{ {} }};\n}})();\n",
        body_of(*module),
        exports_of(*module).join(", ")
    );
}

/// The paths of the modules from which it imports.
pub(crate) fn imports_of(module: Module) -> Vec<String> {
    statements(module.text)
        .filter_map(import)
        .map(|(_, from)| resolved(module.path, from))
        .collect()
}

fn exports_of(module: Module) -> Vec<&'static str> {
    statements(module.text)
        .filter_map(|statement| declared(statement.strip_prefix(EXPORT)?))
        .collect()
}

fn body_of(module: Module) -> String {
    let mut body = String::with_capacity(module.text.len());
    for statement in statements(module.text) {
        match import(statement) {
            Some((names, from)) => {
                let from = resolved(module.path, from);
                let _ = writeln!(body, "const {{{names}}} = modules['{from}'];");
            }
            None => body.push_str(statement.strip_prefix(EXPORT).unwrap_or(statement)),
        }
    }
    body
}

/// Its lines, those of an import in one.
fn statements(text: &'static str) -> impl Iterator<Item = &'static str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = if rest.starts_with(IMPORT) { ";\n" } else { "\n" };
        let length = rest.find(end).map_or(rest.len(), |at| at + end.len());
        let (statement, after) = rest.split_at(length);
        rest = after;
        (!statement.is_empty()).then_some(statement)
    })
}

/// The names between the braces, and from where.
fn import(statement: &str) -> Option<(&str, &str)> {
    let (names, from) = statement.strip_prefix(IMPORT)?.split_once("} from '")?;
    Some((names, from.split_once('\'')?.0))
}

fn declared(declaration: &str) -> Option<&str> {
    let named = DECLARATIONS
        .iter()
        .find_map(|kind| declaration.strip_prefix(kind))?;
    named
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .next()
}

/// `pages/batch.js` imports from `../act.js`: `act.js`.
fn resolved(importer: &str, from: &str) -> String {
    let folder = importer.rsplit_once('/').map_or("", |(folder, _)| folder);
    match (from.strip_prefix("../"), from.strip_prefix("./")) {
        (Some(above), _) => above.to_owned(),
        (None, Some(beside)) if !folder.is_empty() => format!("{folder}/{beside}"),
        (None, beside) => beside.unwrap_or(from).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULES: &[Module] = &[
        Module {
            path: "app.js",
            text: "// Starts.\nimport { page } from './pages/page.js';\nimport {\n  one,\n  two,\n} from './numbers.js';\n\nconst sum = one + two();\npage(sum);\n",
        },
        Module {
            path: "pages/page.js",
            text: "import { one } from '../numbers.js';\nimport { name } from './name.js';\nexport function page(sum) {\n  return `${name}: ${sum - one}`;\n}\n",
        },
        Module {
            path: "pages/name.js",
            text: "export const name = 'export here is a word';\n",
        },
        Module {
            path: "numbers.js",
            text: "export const one = 1;\nexport async function two() {}\nconst hidden = 3;\n",
        },
        Module {
            path: "unused.js",
            text: "export const nobody = 0;\n",
        },
    ];

    #[test]
    fn a_module_comes_after_those_from_which_it_imports_and_only_once() {
        let script = bundled(MODULES, "app.js");
        let places: Vec<_> = ["numbers.js", "pages/name.js", "pages/page.js", "app.js"]
            .iter()
            .map(|path| {
                let begins = format!("modules['{path}'] = ");
                assert_eq!(script.matches(&begins).count(), 1, "{path}");
                script.find(&begins).unwrap()
            })
            .collect();
        assert!(places.is_sorted(), "{script}");
        assert!(!script.contains("unused.js"));
    }

    #[test]
    fn imports_become_constants_and_exports_what_a_module_gives() {
        let script = bundled(MODULES, "app.js");
        assert!(
            script.contains("const {\n  one,\n  two,\n} = modules['numbers.js'];\n"),
            "{script}"
        );
        assert!(
            script.contains("const { name } = modules['pages/name.js'];\n"),
            "{script}"
        );
        assert!(
            script.contains(
                "const one = 1;\nasync function two() {}\nconst hidden = 3;\nreturn { one, two };\n"
            )
        );
        assert!(script.contains("const name = 'export here is a word';\nreturn { name };\n"));
    }

    #[test]
    fn modules_that_import_from_each_other_come_to_an_end() {
        let modules = [
            Module {
                path: "a.js",
                text: "import { b } from './b.js';\nexport const a = 1;\n",
            },
            Module {
                path: "b.js",
                text: "import { a } from './a.js';\nexport const b = 1;\n",
            },
        ];
        assert_eq!(bundled(&modules, "a.js").matches("] = (() =>").count(), 2);
    }
}
