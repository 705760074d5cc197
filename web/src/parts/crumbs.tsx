import { Breadcrumb } from "antd";
import { Link } from "react-router";

/** The way from the list to what is shown. */
export function Crumbs({ to, here }: { to: { text: string; path: string }[]; here: string }) {
  return <Breadcrumb className="crumbs" items={[...to.map(({ text, path }) => ({ key: path, title: <Link to={path}>{text}</Link> })), { key: "here", title: <span className="break" aria-current="page">{here}</span> }]} />;
}
