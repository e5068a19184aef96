//! Which commands does a page ask to be run, and what should they tell?

/// Fenced commands marked `runnable`, with what stands below them.
#[derive(Debug, PartialEq)]
pub(super) struct Block {
    pub(super) line: usize,
    pub(super) script: String,
    /// What must be told, in this order; blanks and line ends do not count, and `...` stands for anything.
    pub(super) told: Vec<String>,
}

impl Block {
    pub(super) fn all(page: &str) -> Vec<Self> {
        let mut blocks = Vec::new();
        let mut lines = page.lines().enumerate();
        while let Some((at, line)) = lines.next() {
            let Some(kind) = line.strip_prefix("```").filter(|kind| !kind.is_empty()) else {
                continue;
            };
            let inside = lines.by_ref().map(|(_, line)| line);
            let inside: Vec<&str> = inside.take_while(|line| *line != "```").collect();
            match kind {
                "sh runnable" => blocks.push(Self::new(at, inside.join("\n"), "")),
                "console runnable" => blocks.push(Self::of_console(at, &inside)),
                _ => {}
            }
        }
        blocks
    }

    fn new(at: usize, script: String, told: &str) -> Self {
        let told = told.split("...").map(squeezed);
        Self {
            line: at + 1,
            script,
            told: told.filter(|part| !part.is_empty()).collect(),
        }
    }

    /// A command begins with `$ ` and goes on after a backslash or inside quotes.
    fn of_console(at: usize, lines: &[&str]) -> Self {
        let (mut script, mut told) = (String::new(), String::new());
        let mut goes_on = false;
        for line in lines {
            let command = line.strip_prefix("$ ").or(goes_on.then_some(*line));
            let Some(command) = command else {
                told.push_str(line);
                told.push('\n');
                continue;
            };
            script.push_str(command);
            script.push('\n');
            let is_quoted = script.matches('\'').count() % 2 == 1;
            goes_on = is_quoted || command.ends_with('\\');
        }
        Self::new(at, script, &told)
    }

    /// Looks for every part, one after the other; says which one is missing.
    pub(super) fn is_told_by(&self, text: &str) -> Result<(), &str> {
        let text = squeezed(text);
        let mut rest = text.as_str();
        for part in &self.told {
            let (_, after) = rest.split_once(part.as_str()).ok_or(part.as_str())?;
            rest = after;
        }
        Ok(())
    }
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

#[test]
fn a_block_is_commands_and_what_they_tell() {
    let page = "
text
```console runnable
$ curl -d '{
  \"a\": 1 }' \\
    there
{ \"plan\": {\"steps\": ...},
  \"n\": 1 }
$ true
```
```sh
not this
```
```sh runnable
echo
```
";
    let blocks = Block::all(page);
    assert_eq!(blocks.len(), 2);
    assert_eq!(
        blocks[0].script,
        "curl -d '{\n  \"a\": 1 }' \\\n    there\ntrue\n"
    );
    assert_eq!(blocks[0].told, ["{\"plan\":{\"steps\":", "},\"n\":1}"]);
    assert_eq!(
        blocks[0].is_told_by("{\"plan\": {\"steps\": 8}, \"n\": 1}"),
        Ok(())
    );
    assert_eq!(
        blocks[0].is_told_by("{\"plan\": {\"steps\": 8}}"),
        Err("},\"n\":1}")
    );
    assert_eq!(blocks[1].script, "echo");
}
