//! What an entry of the table of routes says. The router and the OpenAPI document are made of the same entries, so they can't differ.

use axum::response::Response;
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::call::Call;
use super::problem::Problem;

/// What answers a request.
pub(super) type Handler = fn(Call) -> BoxFuture<'static, Result<Response, Problem>>;
/// A type's schema, by the generator that collects what it refers to.
pub(super) type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// A method at an address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) method: Method,
    /// With its parameters in braces.
    pub(super) path: &'static str,
    /// Its `operationId`.
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) parameters: &'static [Parameter],
    pub(super) body: Option<Body>,
    /// What may come, besides problems.
    pub(super) answers: &'static [Answer],
    /// Statuses of problems, besides those that every route has.
    pub(super) problems: &'static [u16],
    /// Whether anybody may ask.
    pub(super) open: bool,
    pub(super) handler: Handler,
}

/// The methods that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Method {
    Get,
    Put,
    Post,
    Delete,
}

/// A parameter in the query, or a header that means something here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) text: &'static str,
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Query,
    Header,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anything.
    Text,
    /// `true` or `false`; without a value, `true`.
    Flag,
    /// A whole number from 0 to this.
    Number(u64),
}

/// What a body may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body {
    pub(super) media: &'static [&'static str],
    /// Bytes, at most.
    pub(super) limit: usize,
    pub(super) required: bool,
    pub(super) schema: MakeSchema,
}

/// An answer that is no problem.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: &'static str,
    pub(super) content: &'static [Content],
    pub(super) headers: &'static [(&'static str, &'static str)],
}

/// One form of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content {
    pub(super) media: &'static str,
    /// Of the whole, of a line, or of the data of an event; `None` for text.
    pub(super) schema: Option<MakeSchema>,
}

/// Methods that change something: they are audited, and take an `Idempotency-Key`.
pub(super) const KEY: Parameter = Parameter {
    name: "Idempotency-Key",
    place: Place::Header,
    kind: Kind::Text,
    text: "With the same key and the same request the first answer is given again, for a day, and nothing is done twice.",
};

impl Method {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }

    /// Whether it may change something.
    pub(super) const fn changes(self) -> bool {
        !matches!(self, Self::Get)
    }
}

impl Parameter {
    /// One in the query.
    pub(super) const fn query(name: &'static str, kind: Kind, text: &'static str) -> Self {
        Self { name, place: Place::Query, kind, text }
    }

    /// A header.
    pub(super) const fn header(name: &'static str, text: &'static str) -> Self {
        Self { name, place: Place::Header, kind: Kind::Text, text }
    }
}

/// The schema of a type.
pub(super) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// An answer as JSON.
pub(super) const fn json<T: JsonSchema>(media: &'static str) -> Content {
    Content { media, schema: Some(of::<T>) }
}

/// An answer as text.
pub(super) const fn text(media: &'static str) -> Content {
    Content { media, schema: None }
}

impl Answer {
    /// 200.
    pub(super) const fn ok(text: &'static str, content: &'static [Content]) -> Self {
        Self { status: 200, text, content, headers: &[] }
    }

    /// Another status.
    #[must_use]
    pub(super) const fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// With headers that mean something: name, and what it is.
    #[must_use]
    pub(super) const fn headers(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }
}

impl Route {
    const fn new(
        method: Method,
        path: &'static str,
        name: &'static str,
        summary: &'static str,
        handler: Handler,
    ) -> Self {
        Self {
            method,
            path,
            name,
            summary,
            parameters: &[],
            body: None,
            answers: &[],
            problems: &[],
            open: false,
            handler,
        }
    }

    pub(super) const fn get(
        path: &'static str,
        name: &'static str,
        summary: &'static str,
        handler: Handler,
    ) -> Self {
        Self::new(Method::Get, path, name, summary, handler)
    }

    pub(super) const fn put(
        path: &'static str,
        name: &'static str,
        summary: &'static str,
        handler: Handler,
    ) -> Self {
        Self::new(Method::Put, path, name, summary, handler)
    }

    pub(super) const fn post(
        path: &'static str,
        name: &'static str,
        summary: &'static str,
        handler: Handler,
    ) -> Self {
        Self::new(Method::Post, path, name, summary, handler)
    }

    pub(super) const fn delete(
        path: &'static str,
        name: &'static str,
        summary: &'static str,
        handler: Handler,
    ) -> Self {
        Self::new(Method::Delete, path, name, summary, handler)
    }

    #[must_use]
    pub(super) const fn takes(self, parameters: &'static [Parameter]) -> Self {
        Self { parameters, ..self }
    }

    #[must_use]
    pub(super) const fn body(self, body: Body) -> Self {
        Self { body: Some(body), ..self }
    }

    #[must_use]
    pub(super) const fn gives(self, answers: &'static [Answer]) -> Self {
        Self { answers, ..self }
    }

    #[must_use]
    pub(super) const fn or(self, problems: &'static [u16]) -> Self {
        Self { problems, ..self }
    }

    /// Anybody may ask.
    #[must_use]
    pub(super) const fn open(self) -> Self {
        Self { open: true, ..self }
    }
}
