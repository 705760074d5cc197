const or = (texts: string[]) => new Intl.ListFormat("en", { type: "disjunction" }).format(texts.map((text) => `“${text}”`));
const and = (texts: string[]) => new Intl.ListFormat("en").format(texts);
const many = (texts: string[], one: string, more: string) => `${texts.length === 1 ? one : more} ${and(texts)}`;

export const pattern = {
  sentence: (tags: string, repositories: string) => `${tags.charAt(0).toUpperCase()}${tags.slice(1)}, in ${repositories}.`,
  tags: {
    all: "all tags",
    exactly: (texts: string[]) => many(texts, "the tag", "the tags"),
    begins: (texts: string[]) => `all tags that begin with ${or(texts)}`,
    ends: (texts: string[]) => `all tags that end with ${or(texts)}`,
    contains: (texts: string[]) => `all tags with ${or(texts)} in them`,
    between: (from: string, to: string) => `all tags that begin with “${from}” and end with “${to}”`,
    like: (text: string) => `all tags that are like ${text}`,
  },
  but: {
    all: "no tags",
    exactly: (texts: string[]) => `all tags but ${and(texts)}`,
    begins: (texts: string[]) => `all tags but those that begin with ${or(texts)}`,
    ends: (texts: string[]) => `all tags but those that end with ${or(texts)}`,
    contains: (texts: string[]) => `all tags but those with ${or(texts)} in them`,
    between: (from: string, to: string) => `all tags but those that begin with “${from}” and end with “${to}”`,
    like: (text: string) => `all tags but those that are like ${text}`,
  },
  repositories: {
    all: "every repository",
    exactly: (texts: string[]) => many(texts, "the repository", "the repositories"),
    inProject: (texts: string[]) => `every repository of ${many(texts, "the project", "the projects")}`,
    below: (texts: string[]) => `every repository below ${and(texts)}`,
    directly: (texts: string[]) => `every repository directly in ${and(texts)}`,
    named: (texts: string[]) => `every repository named ${or(texts)}, whatever is before it`,
    like: (text: string) => `repositories that are like ${text}`,
  },
  signs: {
    "**": "** as a part between slashes is any number of parts",
    "*": "* is any characters but /",
    "?": "? is one character but /",
    "[]": "[a-c] is one of the characters",
    "{}": "{a,b} is one of the alternatives",
  } as Record<string, string>,
  noProject: (text: string) => `Names begin with their project: no repository here is called ${text}. Did you mean */${text} or **/${text}?`,
};
