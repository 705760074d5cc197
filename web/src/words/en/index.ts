// Every text of the console in English, a file for each page or dialog. words/zh has the same in
// Chinese: the compiler says what is missing there.
import { artifacts } from "./artifacts";
import { banner } from "./banner";
import { common } from "./common";
import { cron } from "./cron";
import { drift } from "./drift";
import { execution } from "./execution";
import { executions } from "./executions";
import { held } from "./held";
import { labels } from "./labels";
import { log } from "./log";
import { logs } from "./logs";
import { more } from "./more";
import { migration } from "./migration";
import { nav } from "./nav";
import { overview } from "./overview";
import { members, projects } from "./projects";
import { pattern } from "./pattern";
import { plan } from "./plan";
import { registries } from "./registries";
import { replications } from "./replications";
import { repositories } from "./repositories";
import { robots } from "./robots";
import { rule } from "./rule";
import { search } from "./search";
import { settings } from "./settings";
import { signIn } from "./signIn";
import { storage } from "./storage";
import { unsaved } from "./unsaved";
import { users } from "./users";

export const en = {
  product: "Lighterage",
  languageName: "English",
  nav,
  common,
  signIn,
  search,
  overview,
  projects,
  members,
  repositories,
  artifacts,
  banner,
  labels,
  registries,
  replications,
  rule,
  executions,
  execution,
  held,
  log,
  drift,
  storage,
  migration,
  cron,
  more,
  pattern,
  plan,
  logs,
  robots,
  settings,
  unsaved,
  users,
};

export type Words = typeof en;
