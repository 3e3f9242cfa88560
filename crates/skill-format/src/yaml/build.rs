//! From the parser's events to a tree, within a budget and without recursion.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::{DEPTH_MAX, Entry, Mapping, NODES_MAX, Node, Scalar, TEXT_BYTES_MAX, Value, YamlError};

pub(super) fn document(text: &str, first_line: u32) -> Result<Node, YamlError> {
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_comments: false,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut builder = Builder::new(first_line);
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| builder.syntax(&error))?;
        builder.take(event, span)?;
    }
    Ok(builder.root.unwrap_or(Node {
        line: first_line,
        value: null(),
    }))
}

fn null() -> Value {
    Value::Scalar(Scalar {
        text: String::new(),
        plain: true,
    })
}

struct Builder {
    first_line: u32,
    root: Option<Node>,
    documents: usize,
    /// Collections that have begun and not ended, outermost first.
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    spent: Cost,
}

/// A value to copy for each alias.
struct Anchored {
    node: Node,
    cost: Cost,
    /// Levels of collections in it.
    height: usize,
}

/// A collection that has begun.
struct Open {
    line: u32,
    anchor: usize,
    /// What the whole tree had cost when it began.
    spent_before: Cost,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        /// Line of each key so far.
        keys: HashMap<String, u32>,
        /// The key whose value comes next.
        pending: Option<(String, u32)>,
    },
}

#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    nodes: usize,
    bytes: usize,
}

impl Cost {
    fn of_scalar(text: &str) -> Self {
        Self {
            nodes: 1,
            bytes: text.len(),
        }
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            nodes: self.nodes - earlier.nodes,
            bytes: self.bytes - earlier.bytes,
        }
    }
}

impl Builder {
    fn new(first_line: u32) -> Self {
        Self {
            first_line,
            root: None,
            documents: 0,
            open: Vec::new(),
            anchors: HashMap::new(),
            spent: Cost::default(),
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let line = self.line_of(span.start.line());
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(YamlError::SecondDocument { line });
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.spend(Cost::of_scalar(&text), line)?;
                let is_text = tag.is_some_and(|tag: std::borrow::Cow<'_, Tag>| {
                    tag.is_yaml_core_schema_tag("str")
                });
                let scalar = Scalar {
                    plain: style == ScalarStyle::Plain && !is_text,
                    text: text.into_owned(),
                };
                let cost = Cost::of_scalar(&scalar.text);
                let node = Node {
                    line,
                    value: Value::Scalar(scalar),
                };
                self.finish(node, anchor, cost)?;
            }
            Event::SequenceStart(_, anchor, _) => {
                self.begin(line, anchor, Content::Sequence(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, _) => {
                let content = Content::Mapping {
                    entries: Vec::new(),
                    keys: HashMap::new(),
                    pending: None,
                };
                self.begin(line, anchor, content)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(line)?,
            Event::Alias(id) => self.copy(id, line)?,
            // Comments, anchors' names and unresolved aliases are switched off.
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, line: u32, anchor: usize, content: Content) -> Result<(), YamlError> {
        self.check_depth(1, line)?;
        let spent_before = self.spent;
        self.spend(Cost { nodes: 1, bytes: 0 }, line)?;
        self.open.push(Open {
            line,
            anchor,
            spent_before,
            content,
        });
        Ok(())
    }

    fn end(&mut self, line: u32) -> Result<(), YamlError> {
        let Some(open) = self.open.pop() else {
            return Err(self.broken(line));
        };
        let value = match open.content {
            Content::Sequence(items) => Value::Sequence(items),
            Content::Mapping { entries, .. } => Value::Mapping(Mapping { entries }),
        };
        let node = Node {
            line: open.line,
            value,
        };
        let cost = self.spent.since(open.spent_before);
        self.finish(node, open.anchor, cost)
    }

    /// A complete value: remembers it under its anchor and hands it to what contains it.
    fn finish(&mut self, node: Node, anchor: usize, cost: Cost) -> Result<(), YamlError> {
        if anchor != 0 {
            // The remembered copy takes memory too.
            self.spend(cost, node.line)?;
            let anchored = Anchored {
                height: height(&node),
                node: node.clone(),
                cost,
            };
            self.anchors.insert(anchor, anchored);
        }
        self.attach(node)
    }

    fn copy(&mut self, id: usize, line: u32) -> Result<(), YamlError> {
        let Some(anchored) = self.anchors.get(&id) else {
            return Err(YamlError::Syntax {
                line,
                reason: "an alias lies inside the value it stands for".into(),
            });
        };
        let (cost, height) = (anchored.cost, anchored.height);
        self.check_depth(height, line)?;
        self.spend(cost, line)?;
        let mut node = self.anchors[&id].node.clone();
        node.line = line;
        self.attach(node)
    }

    /// Whether `levels` more fit below what is open: everything that walks a tree recurses.
    fn check_depth(&self, levels: usize, line: u32) -> Result<(), YamlError> {
        if self.open.len() + levels <= DEPTH_MAX {
            return Ok(());
        }
        Err(YamlError::Budget {
            line,
            what: "levels of nesting",
            max: DEPTH_MAX,
        })
    }

    fn attach(&mut self, node: Node) -> Result<(), YamlError> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping {
                entries,
                keys,
                pending,
            } => match pending.take() {
                Some((key, line)) => entries.push(Entry {
                    key,
                    line,
                    value: node,
                }),
                None => *pending = Some(key_of(node, keys)?),
            },
        }
        Ok(())
    }

    fn spend(&mut self, cost: Cost, line: u32) -> Result<(), YamlError> {
        self.spent.nodes = self.spent.nodes.saturating_add(cost.nodes);
        self.spent.bytes = self.spent.bytes.saturating_add(cost.bytes);
        let over = |what, max| Err(YamlError::Budget { line, what, max });
        if self.spent.nodes > NODES_MAX {
            return over("values", NODES_MAX);
        }
        if self.spent.bytes > TEXT_BYTES_MAX {
            return over("bytes of text", TEXT_BYTES_MAX);
        }
        Ok(())
    }

    fn line_of(&self, line: usize) -> u32 {
        // The parser counts from 1.
        let offset = u32::try_from(line.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first_line.saturating_add(offset)
    }

    fn syntax(&self, error: &ScanError) -> YamlError {
        YamlError::Syntax {
            line: self.line_of(error.marker().line()),
            reason: error.info(),
        }
    }

    fn broken(&self, line: u32) -> YamlError {
        YamlError::Syntax {
            line,
            reason: "a collection ends that has not begun".into(),
        }
    }
}

fn key_of(node: Node, keys: &mut HashMap<String, u32>) -> Result<(String, u32), YamlError> {
    let line = node.line;
    let kind = node.kind();
    let Value::Scalar(scalar) = node.value else {
        return Err(YamlError::KeyKind { line, kind });
    };
    match keys.insert(scalar.text.clone(), line) {
        Some(first_line) => Err(YamlError::DuplicateKey {
            line,
            key: scalar.text,
            first_line,
        }),
        None => Ok((scalar.text, line)),
    }
}

fn height(node: &Node) -> usize {
    let deepest = match &node.value {
        Value::Scalar(_) => return 0,
        Value::Sequence(items) => items.iter().map(height).max(),
        Value::Mapping(mapping) => mapping.entries.iter().map(|e| height(&e.value)).max(),
    };
    1 + deepest.unwrap_or(0)
}
