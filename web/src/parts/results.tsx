import { Button, Result } from "antd";
import { Link } from "react-router";
import { useWords } from "../words";

export function NotFound() {
  const words = useWords();
  return (
    <Result status="404" title={words.common.notFound} subTitle={words.common.notFoundText}
      extra={<Link to="/"><Button type="primary" tabIndex={-1}>{words.common.toStart}</Button></Link>} />
  );
}

export function NotAllowed() {
  const words = useWords();
  return <Result status="403" title={words.common.notAllowed} subTitle={words.common.notAllowedText} />;
}
