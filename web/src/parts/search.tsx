// The field at the top that finds projects and repositories by a part of their name.
import { AppstoreOutlined, DatabaseOutlined, SearchOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { Select } from "antd";
import { useEffect, useState } from "react";
import { useNavigate } from "react-router";
import { queries } from "../api/queries";
import { useWords } from "../words";
import { repositoryPath } from "./addresses";

const typingPause = 200; // milliseconds

export function Search() {
  const words = useWords();
  const navigate = useNavigate();
  const [typed, setTyped] = useState("");
  const [text, setText] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setText(typed.trim()), typingPause);
    return () => clearTimeout(timer);
  }, [typed]);
  const found = useQuery(queries.search(text));
  const known = text !== "" && found.data !== undefined;
  const groups = !known ? [] : [
    {
      label: words.search.projects,
      options: found.data.projects.map((p) => ({ value: `/harbor/projects/${p.project_id}/repositories`, label: <span className="break"><AppstoreOutlined /> {p.name}</span> })),
    },
    {
      label: words.search.repositories,
      options: found.data.repositories.map((r) => ({ value: repositoryPath(r.project_id, r.name ?? ""), label: <span className="break"><DatabaseOutlined /> {r.name}</span> })),
    },
  ].filter((group) => group.options.length > 0);
  const go = (path: string) => {
    setTyped("");
    setText("");
    void navigate(path);
  };
  return (
    <Select<string | null> className="frame-search" value={null} options={groups} onSelect={(path) => path !== null && go(path)} aria-label={words.search.field} placeholder={words.search.field}
      suffixIcon={<SearchOutlined />} popupMatchSelectWidth={360} showSearch={{ filterOption: false, searchValue: typed, onSearch: setTyped }}
      notFoundContent={known && !found.isFetching ? words.search.nothing : null} />
  );
}
