import { LockOutlined, QuestionCircleOutlined } from "@ant-design/icons";
import { Button } from "antd";
import { Link } from "react-router";
import { useWords } from "../words";
import { Message } from "./message";

export function NotFound() {
  const words = useWords();
  return (
    <Message icon={<QuestionCircleOutlined />} title={words.common.notFound} text={words.common.notFoundText}>
      <Link to="/"><Button type="primary" tabIndex={-1}>{words.common.toStart}</Button></Link>
    </Message>
  );
}

export function NotAllowed() {
  const words = useWords();
  return <Message icon={<LockOutlined />} title={words.common.notAllowed} text={words.common.notAllowedText} />;
}
